//! Grafana's dashboards as JSON, as far as they are needed here.

use serde_json::{Value, json};

use super::Scope;

/// Grafana's grid has so many columns.
const COLUMNS: usize = 24;
const HEIGHT: usize = 8;

/// A chart over time; `$$` in queries selects the resource's figures.
pub(super) struct Panel {
    pub(super) title: &'static str,
    /// What it shows and what to look for.
    pub(super) description: &'static str,
    /// Grafana's name of it.
    pub(super) unit: &'static str,
    /// Queries in PromQL, each with the template of its legend.
    pub(super) queries: Vec<(String, &'static str)>,
}

/// A row of charts that share its width.
pub(super) struct Row {
    pub(super) title: &'static str,
    pub(super) panels: Vec<Panel>,
}

/// A dashboard about one resource.
pub(super) struct Dashboard {
    /// In names of files and identities.
    pub(super) key: &'static str,
    pub(super) title: &'static str,
    /// A variable, by the label whose values it has, and the figure that has the label.
    pub(super) variable: Option<(&'static str, &'static str)>,
    pub(super) rows: Vec<Row>,
}

impl Dashboard {
    /// As Grafana reads it. `uid` tells resources apart.
    pub(super) fn json(&self, scope: &Scope, uid: &str) -> Value {
        let Scope { namespace, name } = scope;
        let mut panels = Vec::new();
        let mut below = 0;
        for row in &self.rows {
            let place = json!({"h": 1, "w": COLUMNS, "x": 0, "y": below});
            panels.push(json!({"type": "row", "title": row.title, "gridPos": place, "collapsed": false, "panels": []}));
            below += 1;
            let width = COLUMNS / row.panels.len().max(1);
            for (index, panel) in row.panels.iter().enumerate() {
                let place = json!({"h": HEIGHT, "w": width, "x": index * width, "y": below});
                panels.push(panel.json(scope, place));
            }
            below += HEIGHT;
        }
        for (id, panel) in panels.iter_mut().enumerate() {
            panel["id"] = json!(id + 1);
        }
        let mut variables = vec![json!({
            "name": "datasource", "label": "Prometheus", "type": "datasource", "query": "prometheus",
        })];
        if let Some((label, figure)) = self.variable {
            let query = scope.query(&format!("label_values({figure}{{$$}}, {label})"));
            variables.push(json!({
                "name": label, "type": "query", "datasource": source(), "query": query,
                "refresh": 2, "sort": 1, "multi": true, "includeAll": true, "allValue": ".*",
                "current": {"text": "All", "value": "$__all"},
            }));
        }
        json!({
            "uid": format!("phlare-{uid}-{}", self.key),
            "title": format!("Phlare {name} ({namespace}) / {}", self.title),
            "tags": ["phlare"],
            "schemaVersion": 39,
            "timezone": "browser",
            "graphTooltip": 1,
            "refresh": "1m",
            "time": {"from": "now-6h", "to": "now"},
            "links": [{
                "type": "dashboards", "title": "Phlare", "tags": ["phlare"], "asDropdown": true,
                "includeVars": true, "keepTime": true,
            }],
            "templating": {"list": variables},
            "panels": panels,
        })
    }
}

fn source() -> Value {
    json!({"type": "prometheus", "uid": "${datasource}"})
}

impl Panel {
    fn json(&self, scope: &Scope, place: Value) -> Value {
        let targets = self.queries.iter().zip('A'..='Z');
        let targets = targets.map(|((query, legend), letter)| {
            json!({
                "refId": letter.to_string(), "datasource": source(),
                "expr": scope.query(query), "legendFormat": legend,
            })
        });
        json!({
            "type": "timeseries",
            "title": self.title,
            "description": self.description,
            "datasource": source(),
            "gridPos": place,
            "fieldConfig": {"defaults": {"unit": self.unit, "min": 0, "custom": {"fillOpacity": 10, "showPoints": "never"}}, "overrides": []},
            "options": {"tooltip": {"mode": "multi", "sort": "desc"}, "legend": {"displayMode": "list", "placement": "bottom"}},
            "targets": targets.collect::<Vec<_>>(),
        })
    }
}
