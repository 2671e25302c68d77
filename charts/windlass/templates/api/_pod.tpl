{{/* The pod of a server: the same in a StatefulSet and in a Deployment, but for the volumes. */}}
{{- define "windlass.apiPod" -}}
{{- $api := .Values.api -}}
metadata:
  labels:
    {{- include "windlass.podLabels" (dict "root" . "component" "api" "labels" $api.podLabels) | nindent 4 }}
  annotations:
    checksum/config: {{ include "windlass.settings" . | sha256sum }}
    {{- with $api.podAnnotations }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
spec:
  {{- include "windlass.podSpec" (dict "root" . "with" $api) | nindent 2 }}
  {{- include "windlass.initContainers" . | trim | nindent 2 }}
  {{- include "windlass.topologySpread" (dict "root" . "component" "api" "constraints" $api.topologySpreadConstraints) | trim | nindent 2 }}
  terminationGracePeriodSeconds: {{ include "windlass.gracePeriod" (dict "given" $api.terminationGracePeriodSeconds "needed" (include "windlass.apiNeedsSeconds" .)) }}
  containers:
    - name: api
      args: [api]
      {{- $container := dict "root" . "env" (include "windlass.apiEnv" .) "extraEnv" $api.extraEnv "mounts" (include "windlass.apiMounts" .) }}
      {{- include "windlass.container" $container | nindent 6 }}
      ports:
        - {name: http, containerPort: 8080}
        - {name: ops, containerPort: 9090}
      {{- include "windlass.probes" $api | trim | nindent 6 }}
      {{- with $api.shutdown.preStopSeconds }}
      # Its address is taken out everywhere while this runs: SIGTERM does not wait for that.
      lifecycle:
        preStop:
          sleep:
            seconds: {{ int64 . }}
      {{- end }}
      resources:
        {{- toYaml $api.resources | nindent 8 }}
  {{- include "windlass.volumes" (dict "root" . "more" (include "windlass.tokensVolume" .)) | nindent 2 }}
{{- end -}}

{{- define "windlass.apiMounts" -}}
- name: tokens
  mountPath: /etc/windlass
  readOnly: true
{{- if eq .Values.storage.mode "PerPod" }}
- name: spool
  mountPath: /data/spool
- name: direct
  mountPath: /data/direct
{{- end }}
{{- end -}}

{{/* A folder, not a single file of it: only so does a change of the Secret arrive in a running pod. */}}
{{- define "windlass.tokensVolume" -}}
{{- $ref := fromYaml (include "windlass.secretKeyRef" (dict "root" . "secret" .Values.tokens.existingSecret "key" .Values.tokens.key "dev" "tokens")) -}}
- name: tokens
  secret:
    secretName: {{ $ref.name }}
    defaultMode: 0444
    items:
      - {key: {{ $ref.key }}, path: tokens}
{{- end -}}
