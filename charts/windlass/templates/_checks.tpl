{{/* What a schema cannot tell: values that contradict each other, or the cluster. Each message begins with the key to change. */}}

{{- define "windlass.checks" -}}
{{- include "windlass.checkNames" . -}}
{{- include "windlass.checkServers" . -}}
{{- include "windlass.checkStrategies" . -}}
{{- include "windlass.checkScaling" . -}}
{{- include "windlass.checkDirect" . -}}
{{- include "windlass.checkAddresses" . -}}
{{- include "windlass.checkCluster" . -}}
{{- include "windlass.checkChange" . -}}
{{- end -}}

{{- define "windlass.checkNames" -}}
{{- $name := include "windlass.fullname" . -}}
{{- if not (regexMatch "^[a-z]" $name) -}}
{{- fail (printf "fullnameOverride: Services need names that begin with a letter, which %s does not; name another" $name) -}}
{{- end -}}
{{- if and .Values.devStack.enabled (not (regexMatch "^[a-z]" .Release.Name)) -}}
{{- fail (printf "devStack.enabled: its Services are named after the release, and so need one whose name begins with a letter; %s does not" .Release.Name) -}}
{{- end -}}
{{- end -}}

{{- define "windlass.checkServers" -}}
{{- $trial := "or try Windlass with devStack.enabled=true" -}}
{{- if not (or .Values.externalMongodb.existingSecret (include "windlass.hasDev" (dict "root" . "server" "mongodb"))) -}}
{{- fail (printf "externalMongodb.existingSecret: name the Secret with the address of MongoDB, %s" $trial) -}}
{{- end -}}
{{- if not (or .Values.externalRabbitmq.existingSecret (include "windlass.hasDev" (dict "root" . "server" "rabbitmq"))) -}}
{{- fail (printf "externalRabbitmq.existingSecret: name the Secret with the address of RabbitMQ, %s" $trial) -}}
{{- end -}}
{{- if not (or .Values.externalS3.bucket (eq (include "windlass.strategies" .) "direct") (include "windlass.hasDev" (dict "root" . "server" "minio"))) -}}
{{- fail (printf "externalS3.bucket: name the bucket, %s" $trial) -}}
{{- end -}}
{{- if not (or .Values.tokens.existingSecret .Values.devStack.enabled) -}}
{{- fail (printf "tokens.existingSecret: name the Secret with the tokens file (TOKENS_FILE=./tokens windlass token --tenant NAME writes one), %s" $trial) -}}
{{- end -}}
{{- if and (eq .Values.storage.mode "PerPod") (ne (include "windlass.strategies" .) "presign") (not (or .Values.internal.existingSecret .Values.devStack.enabled)) -}}
{{- fail (printf "internal.existingSecret: name the Secret with the key that signs requests between servers and workers, %s" $trial) -}}
{{- end -}}
{{- end -}}

{{- define "windlass.checkStrategies" -}}
{{- range .Values.strategies -}}
{{- if and (ne . "presign") (eq $.Values.storage.mode "None") -}}
{{- fail (printf "strategies: %s needs files on servers; with storage.mode=None only presign is possible, others take PerPod or Shared" .) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "windlass.checkScaling" -}}
{{- $auto := .Values.api.autoscaling -}}
{{- if and $auto.enabled (eq .Values.storage.mode "PerPod") -}}
{{- fail "api.autoscaling.enabled: not with storage.mode=PerPod, whose pods hold files; use Shared or None, or change api.replicas by hand" -}}
{{- end -}}
{{- if and $auto.enabled (gt (int64 $auto.minReplicas) (int64 $auto.maxReplicas)) -}}
{{- fail "api.autoscaling.minReplicas: is more than maxReplicas" -}}
{{- end -}}
{{- if and $auto.enabled (not (or $auto.targetCPU $auto.targetMemory)) -}}
{{- fail "api.autoscaling.targetCPU: set it, or targetMemory" -}}
{{- end -}}
{{- if and .Values.relay.keda.enabled (gt (int64 .Values.relay.keda.minReplicas) (int64 .Values.relay.keda.maxReplicas)) -}}
{{- fail "relay.keda.minReplicas: is more than maxReplicas" -}}
{{- end -}}
{{- $needs := int64 (include "windlass.apiNeedsSeconds" .) -}}
{{- $given := .Values.api.terminationGracePeriodSeconds -}}
{{- if and (not (kindIs "invalid" $given)) (le (int64 $given) $needs) -}}
{{- fail (printf "api.terminationGracePeriodSeconds: must be more than %d, the sum of api.shutdown" $needs) -}}
{{- end -}}
{{- $given = .Values.relay.terminationGracePeriodSeconds -}}
{{- if and (not (kindIs "invalid" $given)) (le (int64 $given) (int64 .Values.relay.shutdown.graceSeconds)) -}}
{{- fail "relay.terminationGracePeriodSeconds: must be more than relay.shutdown.graceSeconds" -}}
{{- end -}}
{{- end -}}

{{- define "windlass.checkDirect" -}}
{{- $mode := .Values.storage.mode -}}
{{- $placement := .Values.direct.placement -}}
{{- if and (eq $placement "rendezvous") (ne $mode "PerPod") -}}
{{- fail (printf "direct.placement: rendezvous spreads files over volumes and addresses of single pods, which storage.mode=%s does not give them; use PerPod, or another placement" $mode) -}}
{{- end -}}
{{- if and (eq $placement "shared") (ne $mode "Shared") -}}
{{- fail (printf "direct.placement: shared needs the one volume that storage.mode=Shared gives all pods; %s does not" $mode) -}}
{{- end -}}
{{- $shared := .Values.storage.shared -}}
{{- if and (eq $placement "shared") (not $shared.existingClaim) (not (has "ReadWriteMany" $shared.accessModes)) -}}
{{- fail "storage.shared.accessModes: must have ReadWriteMany with direct.placement=shared, or pods on other nodes cannot mount the volume" -}}
{{- end -}}
{{- if and .Values.direct.backup (eq $mode "None") -}}
{{- fail "direct.backup: not with storage.mode=None, which takes no direct uploads" -}}
{{- end -}}
{{- if and .Values.direct.backup (not (or .Values.externalS3.bucket (include "windlass.hasDev" (dict "root" . "server" "minio")))) -}}
{{- fail "direct.backup: name the bucket for it in externalS3.bucket" -}}
{{- end -}}
{{- end -}}

{{- define "windlass.checkAddresses" -}}
{{- if not (include "windlass.publicUrl" .) -}}
{{- fail "publicUrl: set the address that clients reach Windlass by" -}}
{{- end -}}
{{- if and .Values.ingress.enabled (not .Values.ingress.hosts) -}}
{{- fail "ingress.hosts: name the host" -}}
{{- end -}}
{{- if and .Values.httpRoute.enabled (not .Values.httpRoute.parentRefs) -}}
{{- fail "httpRoute.parentRefs: name the Gateway" -}}
{{- end -}}
{{- if and .Values.service.nodePort (ne .Values.service.type "NodePort") -}}
{{- fail "service.nodePort: only with service.type=NodePort" -}}
{{- end -}}
{{- end -}}

{{/* An object of an unknown kind would fail half-way through the installation, in words that name no value. */}}
{{- define "windlass.checkCluster" -}}
{{- $metrics := .Values.metrics -}}
{{- if and $metrics.serviceMonitor.enabled $metrics.podMonitor.enabled -}}
{{- fail "metrics.podMonitor.enabled: not with metrics.serviceMonitor.enabled, or everything is read twice" -}}
{{- end -}}
{{- range list
      (list .Values.httpRoute.enabled "httpRoute.enabled" "gateway.networking.k8s.io/v1/HTTPRoute" "Gateway API")
      (list .Values.relay.keda.enabled "relay.keda.enabled" "keda.sh/v1alpha1/ScaledObject" "KEDA")
      (list $metrics.serviceMonitor.enabled "metrics.serviceMonitor.enabled" "monitoring.coreos.com/v1/ServiceMonitor" "the Prometheus Operator")
      (list $metrics.podMonitor.enabled "metrics.podMonitor.enabled" "monitoring.coreos.com/v1/PodMonitor" "the Prometheus Operator")
      (list $metrics.rules.enabled "metrics.rules.enabled" "monitoring.coreos.com/v1/PrometheusRule" "the Prometheus Operator") -}}
{{- if and (index . 0) (not ($.Capabilities.APIVersions.Has (index . 2))) -}}
{{- fail (printf "%s: this cluster does not know %s; install %s first (helm template: --api-versions %s)" (index . 1) (index . 2) (index . 3) (index . 2)) -}}
{{- end -}}
{{- end -}}
{{- end -}}
