//! `ready`.

use anyhow::anyhow;

use crate::client::{Client, ClientError};
use crate::ui;

/// Asks for `/ready`. Any answer but success means "not ready", whatever its status.
pub(crate) async fn run(client: &Client) -> anyhow::Result<()> {
    match client.get("ready").await {
        Ok(body) => {
            ui::data(String::from_utf8_lossy(&body).trim());
            Ok(())
        }
        Err(ClientError::Refused { code, message } | ClientError::Server { code, message }) => {
            Err(anyhow!("not ready: {message} ({code})"))
        }
        Err(error) => Err(error.into()),
    }
}
