{{- define "phlare-operator.name" -}}
{{- default .Chart.Name .Release.Name | trunc 52 | trimSuffix "-" -}}
{{- end -}}

{{- define "phlare-operator.labels" -}}
app.kubernetes.io/name: phlare-operator
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "phlare-operator.image" -}}
{{- if .Values.image.digest -}}
{{ .Values.image.repository }}@{{ .Values.image.digest }}
{{- else -}}
{{ .Values.image.repository }}:{{ default .Chart.AppVersion .Values.image.tag }}
{{- end -}}
{{- end -}}
