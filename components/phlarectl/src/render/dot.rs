//! The call graph for Graphviz.

use anyhow::bail;
use phlare_model::dot;
use phlare_proto::google::v1::Profile;

/// Nodes of a graph if none are asked for: as many as `pprof -dot` draws.
const NODES: i64 = 80;

/// The graph of the heaviest `max_nodes` lines of functions.
pub(crate) fn render(profile: &Profile, max_nodes: Option<i64>) -> anyhow::Result<String> {
    let text = dot::render(profile, max_nodes.unwrap_or(NODES));
    if text.is_empty() {
        bail!("no profile matches; there is no graph to draw");
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_no_graph() {
        assert!(render(&Profile::default(), None).is_err());
    }
}
