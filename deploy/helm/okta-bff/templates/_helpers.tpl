{{- define "bff.name" -}}
{{- .Values.nameOverride | default .Release.Name | trunc 50 | trimSuffix "-" -}}
{{- end -}}

{{- define "bff.selector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "bff.labels" -}}
{{ include "bff.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end -}}

{{- define "bff.image" -}}
{{- if .Values.image.digest -}}
{{ .Values.image.repository }}@{{ .Values.image.digest }}
{{- else -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end -}}
{{- end -}}

{{- define "bff.serviceAccount" -}}
{{- if .Values.serviceAccount.create -}}
{{ .Values.serviceAccount.name | default (include "bff.name" .) }}
{{- else -}}
{{ .Values.serviceAccount.name | default "default" }}
{{- end -}}
{{- end -}}

{{- define "bff.secretName" -}}
{{ .Values.secret.existingName | default (include "bff.name" .) }}
{{- end -}}

{{/* The host of the public URL, for Ingress and HTTPRoute. */}}
{{- define "bff.host" -}}
{{- (urlParse .Values.settings.public_url).hostname -}}
{{- end -}}

{{/* A setting as the value of its variable: words separated by blanks, tables as JSON, whole numbers without exponent. */}}
{{- define "bff.value" -}}
{{- if kindIs "slice" . -}}
  {{- if and . (kindIs "map" (first .)) -}}{{ toJson . }}{{- else -}}{{ join " " . }}{{- end -}}
{{- else if kindIs "map" . -}}
{{ toJson . }}
{{- else if and (kindIs "float64" .) (eq (floor .) .) -}}
{{ int64 . }}
{{- else -}}
{{ . }}
{{- end -}}
{{- end -}}

{{/* preStop, the drain delay, 15 s for responses in progress, refresh_timeout + 2 s for refreshes, and 5 s of reserve. */}}
{{- define "bff.gracePeriod" -}}
{{- $refresh := ceil (.Values.settings.refresh_timeout | default 8) | int -}}
{{- add .Values.preStopSleep .Values.drainDelay 15 $refresh 2 5 -}}
{{- end -}}

{{/* What no single value shows to be wrong. */}}
{{- define "bff.check" -}}
{{- if not (or .Values.settings.store (has "store" .Values.secret.keys)) -}}
{{- fail "settings.store is missing (or the key store in secret.keys): replicas share their sessions in Redis, redis://HOST:6379" -}}
{{- end -}}
{{- if hasPrefix "sqlite:" (default "" .Values.settings.store) -}}
{{- fail "settings.store is SQLite, which is for one machine: name a Redis, redis://HOST:6379" -}}
{{- end -}}
{{- if and (not .Values.secret.existingName) (not .Values.secret.values) -}}
{{- fail "secret.existingName is missing: the name of a Secret with the keys of secret.keys" -}}
{{- end -}}
{{- if and .Values.secret.existingName .Values.secret.values -}}
{{- fail "secret.existingName and secret.values are both set: keep one of them" -}}
{{- end -}}
{{- range $name := .Values.secret.keys -}}
{{- if hasKey $.Values.settings $name -}}
{{- fail (printf "%s is in settings and in secret.keys: keep one of them" $name) -}}
{{- end -}}
{{- if and $.Values.secret.values (not (hasKey $.Values.secret.values $name)) -}}
{{- fail (printf "secret.values has no %s, which secret.keys names" $name) -}}
{{- end -}}
{{- end -}}
{{- if and .Values.forwardAuth.enabled .Values.networkPolicy.enabled (not .Values.networkPolicy.forwardAuth) -}}
{{- fail "networkPolicy.forwardAuth is empty: name the proxies, because the forward-auth port returns access tokens" -}}
{{- end -}}
{{- if and .Values.httpRoute.enabled (not .Values.httpRoute.parentRefs) -}}
{{- fail "httpRoute.parentRefs is empty: name the Gateway" -}}
{{- end -}}
{{- end -}}
