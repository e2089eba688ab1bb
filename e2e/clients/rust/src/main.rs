//! Is busy in one function until it is killed, and profiles itself with the published SDK: `busy URL`.

use std::error::Error;
use std::hint::black_box;
use std::time::Duration;

use pyroscope::backend::{BackendConfig, PprofConfig, pprof_backend};
use pyroscope::pyroscope::PyroscopeAgentBuilder;

#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn busy_function(mut state: u64) -> u64 {
    for _ in 0..10_000_000 {
        state = black_box(
            state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1),
        );
    }
    state
}

fn main() -> Result<(), Box<dyn Error>> {
    let url = std::env::args().nth(1).ok_or("usage: busy URL")?;
    let backend = pprof_backend(PprofConfig::default(), BackendConfig::default());
    let version = env!("CARGO_PKG_VERSION");
    let agent = PyroscopeAgentBuilder::new(url, "rust-sdk", 100, "pyroscope-rs", version, backend)
        .tags(vec![("region", "eu")])
        .upload_interval(Duration::from_secs(2))
        .build()?
        .start()?;
    let mut state = 1;
    loop {
        state = busy_function(state);
        if state == 0 {
            agent.stop()?.shutdown();
            return Ok(());
        }
    }
}
