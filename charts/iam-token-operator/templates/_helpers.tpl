{{- define "iam-token-operator.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{/* The release's name, with the chart's unless it holds that already. 53 characters leave room for suffixes. */}}
{{- define "iam-token-operator.fullname" -}}
{{- $name := include "iam-token-operator.name" . }}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 53 | trimSuffix "-" }}
{{- else if contains $name .Release.Name }}
{{- .Release.Name | trunc 53 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name $name | trunc 53 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{- define "iam-token-operator.selector" -}}
app.kubernetes.io/name: {{ include "iam-token-operator.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "iam-token-operator.labels" -}}
{{ include "iam-token-operator.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{- end }}

{{- define "iam-token-operator.serviceAccount" -}}
{{- if .Values.serviceAccount.create }}
{{- default (include "iam-token-operator.fullname" .) .Values.serviceAccount.name }}
{{- else }}
{{- required "serviceAccount.name: name the ServiceAccount, or let serviceAccount.create be true" .Values.serviceAccount.name }}
{{- end }}
{{- end }}

{{- define "iam-token-operator.image" -}}
{{- if .Values.image.digest }}
{{- printf "%s@%s" .Values.image.repository .Values.image.digest }}
{{- else }}
{{- printf "%s:%s" .Values.image.repository (default .Chart.AppVersion .Values.image.tag) }}
{{- end }}
{{- end }}

{{- define "iam-token-operator.leaseName" -}}
{{- default (include "iam-token-operator.fullname" .) .Values.leaderElection.leaseName }}
{{- end }}

{{/* What a role grants in the namespaces that are watched. The chart's README says what each verb is for. */}}
{{- define "iam-token-operator.rules" -}}
- apiGroups: [iamtoken.dev]
  resources: [iamtokens]
  verbs: [get, list, watch]
- apiGroups: [iamtoken.dev]
  resources: [iamtokens/status]
  verbs: [patch]
- apiGroups: [""]
  resources: [secrets]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [events.k8s.io]
  resources: [events]
  verbs: [create, patch]
{{- with include "iam-token-operator.serviceAccountTokenRule" . }}
{{ . }}
{{- end }}
{{- end }}

{{/* The right to tokens of ServiceAccounts, where it is granted. */}}
{{- define "iam-token-operator.serviceAccountTokenRule" -}}
{{- if .Values.serviceAccountTokens.enabled -}}
- apiGroups: [""]
  resources: [serviceaccounts/token]
  {{- with .Values.serviceAccountTokens.names }}
  resourceNames: {{ toJson . }}
  {{- end }}
  verbs: [create]
{{- end }}
{{- end }}

{{/* The ServiceAccount, as who is granted a role. */}}
{{- define "iam-token-operator.subjects" -}}
- kind: ServiceAccount
  name: {{ include "iam-token-operator.serviceAccount" . }}
  namespace: {{ .Release.Namespace }}
{{- end }}

{{/* The ports of allowedEndpoints and of the proxy to them, each once, as JSON. */}}
{{- define "iam-token-operator.endpointPorts" -}}
{{- $ports := list }}
{{- range concat .Values.allowedEndpoints (compact (list .Values.proxy.httpsProxy)) }}
{{- $ports = append $ports (int (include "iam-token-operator.port" .)) }}
{{- end }}
{{- $ports | uniq | toJson }}
{{- end }}

{{/* The port of a URL. */}}
{{- define "iam-token-operator.port" -}}
{{- $url := urlParse . }}
{{- default (eq $url.scheme "http" | ternary "80" "443") (regexFind ":[0-9]+$" $url.host | trimPrefix ":") }}
{{- end }}

{{/* What values.schema.json can't say, or not clearly. */}}
{{- define "iam-token-operator.check" -}}
{{- if and (gt (int .Values.replicas) 1) (not .Values.leaderElection.enabled) }}
{{- fail "replicas: more than one needs leaderElection.enabled: true; set that, or replicas: 1" }}
{{- end }}
{{- range .Values.allowedEndpoints }}
{{- if and (hasPrefix "http://" .) (not $.Values.allowInsecureHttp) }}
{{- fail (printf "allowedEndpoints: %s sends API keys in the clear; use https://, or set allowInsecureHttp: true for development" .) }}
{{- end }}
{{- end }}
{{- with .Values.defaultEndpoint }}
{{- if not (has . $.Values.allowedEndpoints) }}
{{- fail (printf "defaultEndpoint: %s is not in allowedEndpoints; add it there" .) }}
{{- end }}
{{- end }}
{{- range $place, $endpoint := .Values.failoverEndpoints }}
{{- if not (has $endpoint $.Values.allowedEndpoints) }}
{{- fail (printf "failoverEndpoints: %s is not in allowedEndpoints; add it there" $endpoint) }}
{{- end }}
{{- if eq $endpoint (default (first $.Values.allowedEndpoints) $.Values.defaultEndpoint) }}
{{- fail (printf "failoverEndpoints: %s is the default endpoint, which is asked first anyway; take it out" $endpoint) }}
{{- end }}
{{- end }}
{{- if and .Values.iamCA.configMap .Values.iamCA.secret }}
{{- fail "iamCA: name a configMap or a secret, not both" }}
{{- end }}
{{- range $what := list "serviceMonitor" "prometheusRule" "dashboard" }}
{{- if and (index $.Values.metrics $what).enabled (not $.Values.metrics.enabled) }}
{{- fail (printf "metrics.%s.enabled: there is nothing to read; set metrics.enabled: true" $what) }}
{{- end }}
{{- end }}
{{- if and .Values.metrics.tls.secret (not .Values.metrics.enabled) }}
{{- fail "metrics.tls.secret: there is nothing to read; set metrics.enabled: true" }}
{{- end }}
{{- if and .Values.metrics.authentication (not .Values.metrics.tls.secret) }}
{{- fail "metrics.authentication: tokens would be sent in the clear; set metrics.tls.secret, too" }}
{{- end }}
{{- if eq (int .Values.health.port) (int .Values.metrics.port) }}
{{- fail "metrics.port: it is health.port, too; give each its own" }}
{{- end }}
{{- end }}
