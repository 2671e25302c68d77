{{/* What pods have in common. */}}

{{/* dict: root, and with: nodeSelector, tolerations, affinity, priorityClassName */}}
{{- define "windlass.podSpec" -}}
serviceAccountName: {{ include "windlass.serviceAccountName" .root }}
automountServiceAccountToken: false
enableServiceLinks: false
{{- include "windlass.pullSecrets" .root }}
securityContext:
  {{- toYaml .root.Values.podSecurityContext | nindent 2 }}
{{- with .root.Values.hostAliases }}
hostAliases:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .root.Values.dnsConfig }}
dnsConfig:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .with.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with .with.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .with.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .with.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* dict: root, component, constraints (null for the default) */}}
{{- define "windlass.topologySpread" -}}
{{- $selector := dict "matchLabels" (fromYaml (include "windlass.selectorLabels" .)) -}}
{{- $default := list -}}
{{- range list "kubernetes.io/hostname" "topology.kubernetes.io/zone" -}}
{{- $default = append $default (dict "maxSkew" 1 "topologyKey" . "whenUnsatisfiable" "ScheduleAnyway") -}}
{{- end -}}
{{- $constraints := kindIs "invalid" .constraints | ternary $default .constraints -}}
{{- if $constraints }}
topologySpreadConstraints:
  {{- range $constraints }}
  {{- toYaml (list (merge dict . (dict "labelSelector" $selector))) | nindent 2 }}
  {{- end }}
{{- end }}
{{- end -}}

{{/* Image, settings and mounts of a container. dict: root, env (text), extraEnv, mounts (text) */}}
{{- define "windlass.container" -}}
image: {{ include "windlass.image" .root }}
imagePullPolicy: {{ .root.Values.image.pullPolicy }}
securityContext:
  {{- toYaml .root.Values.securityContext | nindent 2 }}
envFrom:
  - configMapRef:
      name: {{ include "windlass.fullname" .root }}
  {{- with .root.Values.extraEnvFrom }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
env:
  {{- .env | nindent 2 }}
  {{- include "windlass.secretEnvs" .root | trim | nindent 2 }}
  {{- with concat (default list .extraEnv) .root.Values.extraEnv }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
volumeMounts:
  - name: tmp
    mountPath: /tmp
  {{- if ne .root.Values.storage.mode "None" }}
  - name: data
    mountPath: /data
  {{- end }}
  {{- with .mounts }}
  {{- . | nindent 2 }}
  {{- end }}
  {{- with .root.Values.extraVolumeMounts }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end -}}

{{/* `data` is the shared volume where there is one, none where no file stays; else nothing in it outlives the pod. dict: root, and optionally more (text) */}}
{{- define "windlass.volumes" -}}
volumes:
  - name: tmp
    emptyDir: {}
  {{- if ne .root.Values.storage.mode "None" }}
  - name: data
    {{- if eq .root.Values.storage.mode "Shared" }}
    persistentVolumeClaim:
      claimName: {{ default (printf "%s-files" (include "windlass.fullname" .root)) .root.Values.storage.shared.existingClaim }}
    {{- else }}
    emptyDir: {}
    {{- end }}
  {{- end }}
  {{- with .more }}
  {{- . | nindent 2 }}
  {{- end }}
  {{- with .root.Values.extraVolumes }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end -}}

{{/* Health is on the operations port: nobody from outside asks there. with: startupProbe, livenessProbe, readinessProbe */}}
{{- define "windlass.probes" -}}
{{- range $name, $path := dict "startupProbe" "/startupz" "livenessProbe" "/livez" "readinessProbe" "/readyz" }}
{{ $name }}:
  httpGet: {path: {{ $path }}, port: ops}
  {{- with index $ $name }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end }}
{{- end -}}

{{/* One's own first: they may be the way to everything else. */}}
{{- define "windlass.initContainers" -}}
{{- if or .Values.extraInitContainers .Values.devStack.enabled }}
initContainers:
  {{- with .Values.extraInitContainers }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
  {{- if .Values.devStack.enabled }}
  {{- include "windlass.waitForDev" . | nindent 2 }}
  {{- end }}
{{- end }}
{{- end -}}

{{/* The servers for trials start at the same time, and may have to be pulled first. Without this, pods would crash until they are there, at ever longer intervals. */}}
{{- define "windlass.waitForDev" -}}
- name: wait
  image: {{ include "windlass.image" . }}
  imagePullPolicy: {{ .Values.image.pullPolicy }}
  securityContext:
    {{- toYaml .Values.securityContext | nindent 4 }}
  command: [node, --input-type=module, --eval]
  args:
    - |
      {{- .Files.Get "files/wait-for.mjs" | trim | nindent 6 }}
    {{- range $server, $port := dict "mongodb" 27017 "rabbitmq" 5672 "minio" 9000 }}
    {{- if include "windlass.hasDev" (dict "root" $ "server" $server) }}
    - {{ include "windlass-dev.fullname" $ }}-{{ $server }}:{{ $port }}
    {{- end }}
    {{- end }}
  resources:
    requests: {cpu: 10m, memory: 64Mi}
    limits: {memory: 128Mi}
{{- end -}}

{{/* Seconds until a pod is killed: more than all that its process may take. dict: given (or null), needed */}}
{{- define "windlass.gracePeriod" -}}
{{- if kindIs "invalid" .given }}{{ add .needed 30 }}{{ else }}{{ int64 .given }}{{ end -}}
{{- end -}}

{{- define "windlass.apiNeedsSeconds" -}}
{{- $handOver := ternary .Values.api.shutdown.handOverSeconds 0 (eq .Values.storage.mode "PerPod") -}}
{{- with .Values.api.shutdown }}{{ add .preStopSeconds .delaySeconds .graceSeconds $handOver }}{{ end -}}
{{- end -}}
