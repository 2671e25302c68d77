{{/* Names and labels. Functions take the root context, or a dict with `root` and more where the comment says so. */}}

{{- define "windlass.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 40 | trimSuffix "-" -}}
{{- end -}}

{{/* 40 characters, so that `-reconcile`, `-api-0` and the hashes that Kubernetes appends fit into its limits. Releases may have dots in their names, Services not. */}}
{{- define "windlass.fullname" -}}
{{- $name := include "windlass.name" . -}}
{{- $release := .Release.Name | replace "." "-" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 40 | trimSuffix "-" -}}
{{- else if contains $name $release -}}
{{- $release | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" $release $name | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "windlass.serviceAccountName" -}}
{{- $default := ternary (include "windlass.fullname" .) "default" .Values.serviceAccount.create -}}
{{- default $default .Values.serviceAccount.name -}}
{{- end -}}

{{/* Name, instance and component only: selectors cannot be changed, so nothing in them may depend on a version. dict: root, component */}}
{{- define "windlass.selectorLabels" -}}
app.kubernetes.io/name: {{ include "windlass.name" .root }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end -}}

{{/* dict: root, component, and optionally labels */}}
{{- define "windlass.labels" -}}
{{- $own := fromYaml (include "windlass.selectorLabels" .) -}}
{{- $about := dict
      "app.kubernetes.io/version" (.root.Chart.AppVersion | replace "+" "_")
      "app.kubernetes.io/part-of" "windlass"
      "app.kubernetes.io/managed-by" .root.Release.Service
      "helm.sh/chart" (printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-") -}}
{{- toYaml (merge $own $about (default dict .labels) .root.Values.commonLabels) -}}
{{- end -}}

{{/* Metadata of an object. dict: root, component, and optionally suffix (of the name), labels, annotations */}}
{{- define "windlass.metadata" -}}
name: {{ include "windlass.fullname" .root }}{{ with .suffix }}-{{ . }}{{ end }}
labels:
  {{- include "windlass.labels" . | nindent 2 }}
{{- with merge dict (default dict .annotations) .root.Values.commonAnnotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* dict: root, component, and optionally labels: labels of pods. Without versions: those would restart all pods at each upgrade. */}}
{{- define "windlass.podLabels" -}}
{{- toYaml (merge (fromYaml (include "windlass.selectorLabels" .)) (default dict .labels) .root.Values.commonLabels) -}}
{{- end -}}

{{- define "windlass.image" -}}
{{- $image := .Values.image -}}
{{- with default $image.registry .Values.global.imageRegistry }}{{ . }}/{{ end -}}
{{ $image.repository }}
{{- if $image.digest }}@{{ $image.digest }}{{ else }}:{{ default .Chart.AppVersion $image.tag }}{{ end -}}
{{- end -}}

{{- define "windlass.pullSecrets" -}}
{{- with concat .Values.image.pullSecrets .Values.global.imagePullSecrets | uniq }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
{{- end -}}

{{/* What may be asked for from outside. `/internal/`, by which servers and workers talk to each other, is not there. */}}
{{- define "windlass.publicPaths" -}}
- {path: /, exact: true}
- {path: /openapi.json, exact: true}
- {path: /console, exact: false}
- {path: /docs, exact: false}
- {path: /v1, exact: false}
{{- end -}}
