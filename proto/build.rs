//! Compiles `proto/` into messages, their JSON form, client stubs and the list of methods.

use std::error::Error;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// Packages whose messages get a JSON form: all of them. A leading dot anchors the name.
const PACKAGES: &[&str] = &["."];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=proto");
    let out = PathBuf::from(std::env::var_os("OUT_DIR").ok_or("OUT_DIR is not set")?);

    let mut files = Vec::new();
    find_protos(Path::new("proto"), &mut files)?;
    files.sort();
    let descriptors = protox::compile(&files, ["proto"])?;
    let encoded = prost::Message::encode_to_vec(&descriptors);
    std::fs::write(out.join("descriptors.bin"), &encoded)?;

    // For every method: package, service, name, whether the client streams, whether the server does.
    let mut methods = String::from("&[\n");
    for file in &descriptors.file {
        for service in &file.service {
            for method in &service.method {
                writeln!(
                    methods,
                    "    Method {{ path: \"{}.{}/{}\", client_streaming: {}, server_streaming: {} }},",
                    file.package(),
                    service.name(),
                    method.name(),
                    method.client_streaming(),
                    method.server_streaming(),
                )?;
            }
        }
    }
    methods.push(']');
    std::fs::write(out.join("methods.rs"), methods)?;

    tonic_prost_build::configure()
        .build_server(false)
        .build_transport(false)
        .emit_rerun_if_changed(false)
        .bytes(".push.v1.RawSample")
        .bytes(".phlare.ingest.v1.AppendRequest.profile")
        .bytes(".phlare.query.v1.AskRequest.query")
        .bytes(".phlare.query.v1.Outcome")
        .bytes(".phlare.query.v1.Task.query")
        .compile_fds(descriptors)?;
    pbjson_build::Builder::new()
        .register_descriptors(&encoded)?
        .ignore_unknown_fields()
        .build(PACKAGES)?;
    Ok(())
}

fn find_protos(folder: &Path, files: &mut Vec<PathBuf>) -> std::io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            find_protos(&path, files)?;
        } else if path
            .extension()
            .is_some_and(|extension| extension == "proto")
        {
            files.push(path);
        }
    }
    Ok(())
}
