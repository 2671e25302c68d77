{{/*
What an upgrade cannot change: without this, Kubernetes would refuse it half-way, in words that name no value, or files
would be out of reach. What is there is only known to `helm install` and `helm upgrade`; elsewhere `lookup` finds nothing.
*/}}
{{- define "windlass.checkChange" -}}
{{- $name := include "windlass.fullname" . -}}
{{- $space := .Release.Namespace -}}
{{- $relay := lookup "apps/v1" "Deployment" $space (printf "%s-relay" $name) -}}
{{- with dig "spec" "selector" "matchLabels" "app.kubernetes.io/name" "" $relay -}}
{{- if ne . (include "windlass.name" $) -}}
{{- fail (printf "nameOverride: %s so far, and part of selectors, which cannot be changed: leave it, or install another release" .) -}}
{{- end -}}
{{- end -}}
{{- with lookup "apps/v1" "StatefulSet" $space (printf "%s-api" $name) -}}
{{- include "windlass.checkPerPod" (dict "root" $ "old" .) -}}
{{- end -}}
{{- with lookup "apps/v1" "Deployment" $space (printf "%s-api" $name) -}}
{{- range .spec.template.spec.volumes -}}
{{- if and .persistentVolumeClaim (eq .name "data") (ne $.Values.storage.mode "Shared") -}}
{{- include "windlass.refuseMode" (dict "root" $ "old" "Shared" "workload" (printf "Deployment %s-api" $name)) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- with lookup "v1" "PersistentVolumeClaim" $space (printf "%s-files" $name) -}}
{{- include "windlass.checkShared" (dict "root" $ "old" .) -}}
{{- end -}}
{{- end -}}

{{/* dict: root, old (the mode), workload */}}
{{- define "windlass.refuseMode" -}}
{{- fail (printf "storage.mode: %s so far, and with %s servers would not find the files that lie there. See that nothing does (docs/operations.md: To change where files lie), then delete the %s and upgrade again" .old .root.Values.storage.mode .workload) -}}
{{- end -}}

{{/* dict: root, old (the StatefulSet) */}}
{{- define "windlass.checkPerPod" -}}
{{- $old := .old -}}
{{- $storage := .root.Values.storage -}}
{{- $workload := printf "StatefulSet %s" $old.metadata.name -}}
{{- if ne $storage.mode "PerPod" -}}
{{- include "windlass.refuseMode" (dict "root" .root "old" "PerPod" "workload" $workload) -}}
{{- end -}}
{{- range $old.spec.volumeClaimTemplates -}}
{{- $new := index $storage .metadata.name -}}
{{- $size := .spec.resources.requests.storage -}}
{{- if ne (include "windlass.bytes" $size) (include "windlass.bytes" $new.size) -}}
{{- fail (printf "storage.%s.size: %s so far, and no upgrade can make it %s. Set the size of the claims %s-%s-* by hand, delete the %s with --cascade=orphan, and upgrade again" .metadata.name $size $new.size .metadata.name $old.metadata.name $workload) -}}
{{- end -}}
{{- if ne (default "" .spec.storageClassName) $new.storageClassName -}}
{{- fail (printf "storage.%s.storageClassName: %q so far, and volumes cannot change it: leave it, or move the files by hand" .metadata.name (default "" .spec.storageClassName)) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* A claim of one's own is not looked at. dict: root, old (the claim) */}}
{{- define "windlass.checkShared" -}}
{{- $shared := .root.Values.storage.shared -}}
{{- if and (eq .root.Values.storage.mode "Shared") (not $shared.existingClaim) -}}
{{- $class := default "" .old.spec.storageClassName -}}
{{- if and $shared.storageClassName (ne $class $shared.storageClassName) -}}
{{- fail (printf "storage.shared.storageClassName: the claim %s has %q, and cannot change it: leave it, or make a claim, move the files and name it in storage.shared.existingClaim" .old.metadata.name $class) -}}
{{- end -}}
{{- if ne (join "," .old.spec.accessModes) (join "," $shared.accessModes) -}}
{{- fail (printf "storage.shared.accessModes: the claim %s has %s, and cannot change them" .old.metadata.name (join ", " .old.spec.accessModes)) -}}
{{- end -}}
{{- if lt (float64 (include "windlass.bytes" $shared.size)) (float64 (include "windlass.bytes" .old.spec.resources.requests.storage)) -}}
{{- fail (printf "storage.shared.size: the claim %s has %s, and cannot shrink" .old.metadata.name .old.spec.resources.requests.storage) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* A quantity such as 20Gi in bytes: Kubernetes writes 1024Mi as 1Gi. */}}
{{- define "windlass.bytes" -}}
{{- $units := dict "k" 1e3 "M" 1e6 "G" 1e9 "T" 1e12 "P" 1e15 "Ki" 1024 "Mi" 1048576 "Gi" 1073741824 "Ti" 1099511627776 "Pi" 1125899906842624 -}}
{{- $unit := regexFind "[A-Za-z]+$" (toString .) -}}
{{- mulf (float64 (trimSuffix $unit (toString .))) (float64 (default 1 (get $units $unit))) | int64 -}}
{{- end -}}
