{{- define "windlass-dev.fullname" -}}
{{- printf "%s-dev" (.Release.Name | replace "." "-" | trunc 40 | trimSuffix "-") -}}
{{- end -}}

{{/* dict: root, component */}}
{{- define "windlass-dev.selectorLabels" -}}
app.kubernetes.io/name: windlass-dev
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end -}}

{{/* dict: root, component */}}
{{- define "windlass-dev.labels" -}}
{{ include "windlass-dev.selectorLabels" . }}
app.kubernetes.io/part-of: windlass
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: windlass-dev-{{ .root.Chart.Version | replace "+" "_" }}
{{- end -}}

{{/* dict: root, image */}}
{{- define "windlass-dev.image" -}}
{{- with default .image.registry (dig "imageRegistry" "" (default dict .root.Values.global)) }}{{ . }}/{{ end -}}
{{ .image.repository }}
{{- if .image.digest }}@{{ .image.digest }}{{ else }}:{{ .image.tag }}{{ end -}}
{{- end -}}

{{/*
A Service and a StatefulSet of one pod, which keeps its name and its volume.
dict: root, component, ports (name: number), mountPath, container (text: env, args), probe (text)
*/}}
{{- define "windlass-dev.server" -}}
{{- $name := printf "%s-%s" (include "windlass-dev.fullname" .root) .component -}}
{{- $values := index .root.Values .component -}}
apiVersion: v1
kind: Service
metadata:
  name: {{ $name }}
  labels:
    {{- include "windlass-dev.labels" . | nindent 4 }}
spec:
  selector:
    {{- include "windlass-dev.selectorLabels" . | nindent 4 }}
  ports:
    {{- range $port, $number := .ports }}
    - {name: {{ $port }}, port: {{ $number }}, targetPort: {{ $port }}}
    {{- end }}
---
apiVersion: apps/v1
kind: StatefulSet
metadata:
  name: {{ $name }}
  labels:
    {{- include "windlass-dev.labels" . | nindent 4 }}
spec:
  replicas: 1
  serviceName: {{ $name }}
  selector:
    matchLabels:
      {{- include "windlass-dev.selectorLabels" . | nindent 6 }}
  # A trial leaves nothing behind.
  persistentVolumeClaimRetentionPolicy: {whenDeleted: Delete, whenScaled: Retain}
  template:
    metadata:
      labels:
        {{- include "windlass-dev.selectorLabels" . | nindent 8 }}
    spec:
      automountServiceAccountToken: false
      enableServiceLinks: false
      {{- with dig "imagePullSecrets" list (default dict .root.Values.global) }}
      imagePullSecrets:
        {{- range . }}
        - name: {{ . }}
        {{- end }}
      {{- end }}
      securityContext:
        runAsNonRoot: true
        {{- with $values.runAsUser }}
        runAsUser: {{ int64 . }}
        runAsGroup: {{ int64 . }}
        fsGroup: {{ int64 . }}
        fsGroupChangePolicy: OnRootMismatch
        {{- end }}
        seccompProfile: {type: RuntimeDefault}
      containers:
        - name: {{ .component }}
          image: {{ include "windlass-dev.image" (dict "root" .root "image" $values.image) }}
          imagePullPolicy: {{ $values.image.pullPolicy }}
          securityContext:
            allowPrivilegeEscalation: false
            readOnlyRootFilesystem: true
            capabilities: {drop: [ALL]}
          {{- .container | nindent 10 }}
          ports:
            {{- range $port, $number := .ports }}
            - {name: {{ $port }}, containerPort: {{ $number }}}
            {{- end }}
          startupProbe:
            {{- .probe | nindent 12 }}
            periodSeconds: 2
            failureThreshold: 150
          readinessProbe:
            {{- .probe | nindent 12 }}
            periodSeconds: 5
          resources:
            {{- toYaml $values.resources | nindent 12 }}
          volumeMounts:
            - {name: data, mountPath: {{ .mountPath }}}
            - {name: tmp, mountPath: /tmp}
      volumes:
        - name: tmp
          emptyDir: {}
  volumeClaimTemplates:
    - metadata:
        name: data
        labels:
          {{- include "windlass-dev.selectorLabels" . | nindent 10 }}
      spec:
        accessModes: [ReadWriteOnce]
        {{- with $values.storageClassName }}
        storageClassName: {{ . }}
        {{- end }}
        resources:
          requests:
            storage: {{ $values.size }}
{{- end -}}

{{/* dict: root, env (name: key of the Secret) */}}
{{- define "windlass-dev.secretEnv" -}}
env:
  {{- range $name, $key := .env }}
  - name: {{ $name }}
    valueFrom:
      secretKeyRef: {name: {{ include "windlass-dev.fullname" $.root }}, key: {{ $key }}}
  {{- end }}
{{- end -}}
