//! Messages to bytes and back: protobuf by prost, JSON by pbjson.

use bytes::Bytes;
use connectrpc::CodecFormat;
use prost::Message;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::offload::Offload;
use crate::status::Status;

/// Up to this size the work is shorter than the way to another thread and back.
const INLINE_BYTES: usize = 32 << 10;

pub(super) fn unsupported(format: CodecFormat) -> Status {
    Status::unimplemented(format!("messages as {format} are not supported"))
}

/// Bytes fields of the message are slices of `body`: nothing is copied.
pub(super) async fn decode<M>(
    body: Bytes,
    format: CodecFormat,
    offload: &Offload,
) -> Result<M, Status>
where
    M: Message + Default + DeserializeOwned + 'static,
{
    if format == CodecFormat::Json && body.len() > INLINE_BYTES {
        return offload.run(move || decode_now(body, format)).await?;
    }
    decode_now(body, format)
}

fn decode_now<M: Message + Default + DeserializeOwned>(
    body: Bytes,
    format: CodecFormat,
) -> Result<M, Status> {
    let invalid = |what: &str, error: &dyn std::fmt::Display| {
        let name = std::any::type_name::<M>()
            .rsplit("::")
            .next()
            .unwrap_or("message");
        Status::invalid_argument(format!("the body is no {name} as {what}: {error}"))
    };
    match format {
        CodecFormat::Proto => M::decode(body).map_err(|error| invalid("protobuf", &error)),
        CodecFormat::Json => serde_json::from_slice(&body).map_err(|error| invalid("JSON", &error)),
        other => Err(unsupported(other)),
    }
}

pub(super) async fn encode<M>(
    message: M,
    format: CodecFormat,
    offload: &Offload,
) -> Result<Bytes, Status>
where
    M: Message + Serialize + 'static,
{
    if message.encoded_len() > INLINE_BYTES {
        return offload.run(move || encode_now(&message, format)).await?;
    }
    encode_now(&message, format)
}

fn encode_now<M: Message + Serialize>(message: &M, format: CodecFormat) -> Result<Bytes, Status> {
    match format {
        CodecFormat::Proto => Ok(message.encode_to_vec().into()),
        CodecFormat::Json => serde_json::to_vec(message)
            .map(Bytes::from)
            .map_err(|error| {
                Status::new(
                    phlare_model::ErrorKind::Internal,
                    format!("write the answer as JSON: {error}"),
                )
            }),
        other => Err(unsupported(other)),
    }
}
