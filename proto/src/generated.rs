//! One module for each package, as code generators expect: `a.v1` lies at `a::v1`.

#![expect(
    missing_docs,
    unused_qualifications,
    clippy::allow_attributes,
    clippy::allow_attributes_without_reason,
    clippy::large_enum_variant,
    clippy::too_many_lines,
    clippy::use_self,
    reason = "generated; the comments of the .proto files are all there is to say"
)]

/// The messages and clients of a package, then their JSON form.
macro_rules! package {
    ($name:literal) => {
        include!(concat!(env!("OUT_DIR"), "/", $name, ".rs"));
        include!(concat!(env!("OUT_DIR"), "/", $name, ".serde.rs"));
    };
}

pub mod adhocprofiles {
    pub mod v1 {
        package!("adhocprofiles.v1");
    }
}

pub mod capabilities {
    pub mod v1 {
        package!("capabilities.v1");
    }
}

pub mod google {
    pub mod v1 {
        package!("google.v1");
    }
}

pub mod ingester {
    pub mod v1 {
        package!("ingester.v1");
    }
}

pub mod phlare {
    pub mod ingest {
        pub mod v1 {
            package!("phlare.ingest.v1");
        }
    }
    pub mod query {
        pub mod v1 {
            package!("phlare.query.v1");
        }
    }
    pub mod store {
        pub mod v1 {
            package!("phlare.store.v1");
        }
    }
}

pub mod push {
    pub mod v1 {
        package!("push.v1");
    }
}

pub mod querier {
    pub mod v1 {
        package!("querier.v1");
    }
}

pub mod settings {
    pub mod v1 {
        package!("settings.v1");
    }
}

pub mod status {
    pub mod v1 {
        package!("status.v1");
    }
}

pub mod storegateway {
    pub mod v1 {
        // It has no messages of its own.
        include!(concat!(env!("OUT_DIR"), "/storegateway.v1.rs"));
    }
}

pub mod types {
    pub mod v1 {
        package!("types.v1");
    }
}

pub mod vcs {
    pub mod v1 {
        package!("vcs.v1");
    }
}

pub mod version {
    pub mod v1 {
        package!("version.v1");
    }
}

pub mod debuginfo {
    pub mod v1alpha1 {
        package!("debuginfo.v1alpha1");
    }
}

pub mod frontendpb {
    package!("frontendpb");
}

pub mod grpc {
    pub mod health {
        pub mod v1 {
            package!("grpc.health.v1");
        }
    }
}

pub mod httpgrpc {
    package!("httpgrpc");
}

pub mod schedulerpb {
    package!("schedulerpb");
}

pub mod stats {
    package!("stats");
}
