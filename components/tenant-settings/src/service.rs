//! `settings.v1.SettingsService`.

use phlare_proto::settings::v1 as proto;
use phlare_server::{Rpc, Status};

use crate::error::Error;
use crate::file::Setting;
use crate::settings::TenantSettings;

impl TenantSettings {
    /// Serves all methods of `settings.v1.SettingsService`.
    pub fn register(&self, rpc: &mut Rpc) {
        let all = self.clone();
        rpc.unary(
            "settings.v1.SettingsService/Get",
            move |call, proto::GetSettingsRequest {}| {
                let settings = all.clone();
                async move {
                    let found = settings.get(&call.tenant).await?;
                    Ok(proto::GetSettingsResponse {
                        settings: found.into_iter().map(to_proto).collect(),
                    })
                }
            },
        );
        let all = self.clone();
        rpc.unary(
            "settings.v1.SettingsService/Set",
            move |call, request: proto::SetSettingsRequest| {
                let settings = all.clone();
                async move {
                    let setting = request.setting.ok_or(Error::NoSetting)?;
                    let stored = settings.set(&call.tenant, of_proto(setting)).await?;
                    Ok(proto::SetSettingsResponse {
                        setting: Some(to_proto(stored)),
                    })
                }
            },
        );
        let all = self.clone();
        rpc.unary(
            "settings.v1.SettingsService/Delete",
            move |call, request: proto::DeleteSettingsRequest| {
                let settings = all.clone();
                async move {
                    settings.delete(&call.tenant, &request.name).await?;
                    Ok::<_, Status>(proto::DeleteSettingsResponse {})
                }
            },
        );
    }
}

fn to_proto(setting: Setting) -> proto::Setting {
    proto::Setting {
        name: setting.name,
        value: setting.value,
        modified_at: setting.modified_ms,
    }
}

fn of_proto(setting: proto::Setting) -> Setting {
    Setting {
        name: setting.name,
        value: setting.value,
        modified_ms: setting.modified_at,
    }
}
