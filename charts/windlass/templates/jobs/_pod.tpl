{{/* The pod of a Job. dict: root, component, args */}}
{{- define "windlass.jobPod" -}}
{{- $jobs := .root.Values.jobs -}}
metadata:
  labels:
    {{- include "windlass.podLabels" (dict "root" .root "component" .component "labels" $jobs.podLabels) | nindent 4 }}
  {{- with $jobs.podAnnotations }}
  annotations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
spec:
  restartPolicy: Never
  {{- include "windlass.podSpec" (dict "root" .root "with" $jobs) | nindent 2 }}
  {{- include "windlass.initContainers" .root | trim | nindent 2 }}
  containers:
    - name: {{ .component }}
      args: [{{ .component }}]
      {{- include "windlass.container" (dict "root" .root "env" (include "windlass.jobEnv" (dict "root" .root "name" .component))) | nindent 6 }}
      resources:
        {{- toYaml $jobs.resources | nindent 8 }}
  {{- include "windlass.volumes" (dict "root" .root) | nindent 2 }}
{{- end -}}
