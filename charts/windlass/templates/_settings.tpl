{{/* Settings of the processes: what they share comes from the ConfigMap, secrets and what differs from `env`. */}}

{{- define "windlass.publicUrl" -}}
{{- if .Values.publicUrl -}}
{{- .Values.publicUrl -}}
{{- else if and .Values.ingress.enabled .Values.ingress.hosts -}}
{{- ternary "https" "http" (not (empty .Values.ingress.tls)) }}://{{ first .Values.ingress.hosts -}}
{{- else if and .Values.httpRoute.enabled .Values.httpRoute.hostnames -}}
https://{{ first .Values.httpRoute.hostnames -}}
{{- else if .Values.devStack.enabled -}}
http://localhost:8080
{{- end -}}
{{- end -}}

{{/* Where alerts and dashboards lead to. Servers serve the runbooks along with their pages. */}}
{{- define "windlass.runbooks" -}}
{{- default (printf "%s/docs/runbooks" (include "windlass.publicUrl" . | trimSuffix "/")) .Values.metrics.rules.runbookUrl | trimSuffix "/" }}/
{{- end -}}

{{/* The strategies that are offered, separated by commas: where no pod keeps a file, only presigned uploads. */}}
{{- define "windlass.strategies" -}}
{{- $possible := eq .Values.storage.mode "None" | ternary (list "presign") (list "direct" "relay" "presign") -}}
{{- default $possible .Values.strategies | join "," -}}
{{- end -}}

{{/* "true" where a server for trials is installed. dict: root, server (mongodb, rabbitmq or minio) */}}
{{- define "windlass.hasDev" -}}
{{- if .root.Values.devStack.enabled }}{{ if (index .root.Values.devStack .server).enabled }}true{{ end }}{{ end -}}
{{- end -}}

{{/* "true" where MinIO for trials is the store: another one is meant as soon as its bucket is named. */}}
{{- define "windlass.usesDevMinio" -}}
{{- if not .Values.externalS3.bucket }}{{ include "windlass.hasDev" (dict "root" . "server" "minio") }}{{ end -}}
{{- end -}}

{{/* Numbers of a values file arrive as floats, which would be written as 1.073741824e+09. */}}
{{- define "windlass.text" -}}
{{- if kindIs "float64" . }}{{ int64 . }}{{ else }}{{ . }}{{ end -}}
{{- end -}}

{{/* One name for the one disk that all servers of a Deployment have, or for none; a StatefulSet's pods have disks and names of their own. */}}
{{- define "windlass.sharedNode" -}}
{{- include "windlass.fullname" . }}-api
{{- end -}}

{{/* Nothing where there is no store: direct files alone need none. */}}
{{- define "windlass.store" -}}
{{- if include "windlass.usesDevMinio" . -}}
S3_BUCKET: {{ .Values.devStack.minio.bucket }}
S3_ENDPOINT: http://{{ include "windlass-dev.fullname" . }}-minio:9000
S3_PUBLIC_ENDPOINT: {{ .Values.devStack.minio.publicEndpoint }}
S3_REGION: us-east-1
{{- else if .Values.externalS3.bucket -}}
{{- $s3 := .Values.externalS3 -}}
S3_BUCKET: {{ $s3.bucket | quote }}
S3_REGION: {{ $s3.region | quote }}
{{- with $s3.endpoint }}
S3_ENDPOINT: {{ . | quote }}
{{- end }}
{{- with $s3.publicEndpoint }}
S3_PUBLIC_ENDPOINT: {{ . | quote }}
{{- end }}
{{- if kindIs "bool" $s3.forcePathStyle }}
S3_FORCE_PATH_STYLE: {{ $s3.forcePathStyle | quote }}
{{- end }}
{{- end }}
{{- end -}}

{{/* What all processes share: the data of the ConfigMap. */}}
{{- define "windlass.settings" -}}
PORT: "8080"
OPS_PORT: "9090"
DATA_DIR: /data
SPOOL_DIR: /data/spool
DIRECT_DIR: /data/direct
PUBLIC_URL: {{ include "windlass.publicUrl" . | quote }}
RABBITMQ_PREFIX: {{ .Values.externalRabbitmq.prefix | quote }}
STRATEGIES: {{ include "windlass.strategies" . }}
SPOOL_SHARED: {{ eq .Values.storage.mode "Shared" | quote }}
DIRECT_PLACEMENT: {{ .Values.direct.placement | quote }}
DIRECT_BACKUP: {{ .Values.direct.backup | quote }}
{{ include "windlass.store" . }}
{{- range $name, $value := .Values.settings }}
{{- if not (kindIs "invalid" $value) }}
{{ $name }}: {{ include "windlass.text" $value | quote }}
{{- end }}
{{- end }}
{{- end -}}

{{/* A key of an existing Secret, or of the one with the trial's credentials; nothing where there is neither. dict: root, secret, key, dev */}}
{{- define "windlass.secretKeyRef" -}}
{{- if .secret -}}
name: {{ .secret }}
key: {{ .key }}
{{- else if .root.Values.devStack.enabled -}}
name: {{ include "windlass-dev.fullname" .root }}
key: {{ .dev }}
{{- end }}
{{- end -}}

{{/* dict: root, name, secret, key, dev */}}
{{- define "windlass.secretEnv" -}}
{{- with include "windlass.secretKeyRef" . }}
- name: {{ $.name }}
  valueFrom:
    secretKeyRef:
      {{- . | nindent 6 }}
{{- end }}
{{- end -}}

{{- define "windlass.secretEnvs" -}}
{{- $mongo := .Values.externalMongodb }}{{ $rabbit := .Values.externalRabbitmq }}{{ $s3 := .Values.externalS3 }}{{ $internal := .Values.internal }}
{{- include "windlass.secretEnv" (dict "root" . "name" "MONGODB_URI" "secret" $mongo.existingSecret "key" $mongo.uriKey "dev" "mongodb-uri") }}
{{- include "windlass.secretEnv" (dict "root" . "name" "RABBITMQ_URL" "secret" $rabbit.existingSecret "key" $rabbit.urlKey "dev" "rabbitmq-url") }}
{{- if or $s3.existingSecret (include "windlass.usesDevMinio" .) }}
{{- include "windlass.secretEnv" (dict "root" . "name" "AWS_ACCESS_KEY_ID" "secret" $s3.existingSecret "key" $s3.accessKeyIdKey "dev" "s3-access-key-id") }}
{{- include "windlass.secretEnv" (dict "root" . "name" "AWS_SECRET_ACCESS_KEY" "secret" $s3.existingSecret "key" $s3.secretAccessKeyKey "dev" "s3-secret-access-key") }}
{{- if and $s3.existingSecret $s3.sessionTokenKey }}
{{- include "windlass.secretEnv" (dict "root" . "name" "AWS_SESSION_TOKEN" "secret" $s3.existingSecret "key" $s3.sessionTokenKey) }}
{{- end }}
{{- end }}
{{- include "windlass.secretEnv" (dict "root" . "name" "INTERNAL_SECRET" "secret" $internal.existingSecret "key" $internal.secretKey "dev" "internal-secret") }}
{{- end -}}

{{/* Servers listen for others, with tokens. */}}
{{- define "windlass.apiEnv" -}}
{{- $shutdown := .Values.api.shutdown -}}
- name: HOST
  value: {{ .Values.listenAddress | quote }}
- name: TOKENS_FILE
  value: /etc/windlass/tokens
- name: SHUTDOWN_DELAY_SECONDS
  value: {{ include "windlass.text" $shutdown.delaySeconds | quote }}
- name: SHUTDOWN_GRACE_SECONDS
  value: {{ include "windlass.text" $shutdown.graceSeconds | quote }}
{{- if eq .Values.storage.mode "PerPod" }}
- name: SHUTDOWN_HANDOVER_SECONDS
  value: {{ include "windlass.text" $shutdown.handOverSeconds | quote }}
- name: NODE_NAME
  valueFrom:
    fieldRef:
      fieldPath: metadata.name
- name: POD_NAMESPACE
  valueFrom:
    fieldRef:
      fieldPath: metadata.namespace
- name: NODE_URL
  value: http://$(NODE_NAME).{{ include "windlass.fullname" . }}-api-pods.$(POD_NAMESPACE).svc.{{ .Values.clusterDomain }}:8080
{{- else }}
- name: NODE_NAME
  value: {{ include "windlass.sharedNode" . }}
- name: POD_NAMESPACE
  valueFrom:
    fieldRef:
      fieldPath: metadata.namespace
- name: NODE_URL
  value: http://{{ include "windlass.fullname" . }}.$(POD_NAMESPACE).svc.{{ .Values.clusterDomain }}:{{ .Values.service.port }}
{{- end }}
{{- end -}}

{{/* Workers take no requests: what others reach is health and metrics, which know no tokens. */}}
{{- define "windlass.relayEnv" -}}
- name: HOST
  value: {{ .Values.listenAddress | quote }}
- name: WORKER_CONCURRENCY
  value: {{ include "windlass.text" .Values.relay.concurrency | quote }}
- name: SHUTDOWN_GRACE_SECONDS
  value: {{ include "windlass.text" .Values.relay.shutdown.graceSeconds | quote }}
{{- end -}}

{{/* Jobs listen for nobody. With a shared volume they speak for the node whose volume it is. dict: root, name */}}
{{- define "windlass.jobEnv" -}}
- name: HOST
  value: 127.0.0.1
- name: NODE_NAME
  value: {{ if eq .root.Values.storage.mode "Shared" }}{{ include "windlass.sharedNode" .root }}{{ else }}{{ include "windlass.fullname" .root }}-{{ .name }}{{ end }}
{{- end -}}
