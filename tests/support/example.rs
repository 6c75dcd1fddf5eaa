//! The examples, as programs.

use std::process::{Command, Stdio};

/// An example that was given nothing, and finds no instance in its environment. `cargo test` builds
/// the examples before it runs tests, but those of one test alone it does not.
pub(crate) fn example(name: &str) -> Command {
    let test = std::env::current_exe().expect("this program");
    let profile = test.ancestors().nth(2).expect("two folders");
    let file = format!("{name}{}", std::env::consts::EXE_SUFFIX);
    let path = profile.join("examples").join(file);
    let build = format!("cargo build --all-features --example {name}");
    assert!(path.exists(), "there is no {}: {build}", path.display());
    let mut command = Command::new(path);
    command
        .env_remove("IDPFLARE_AUTHORITY")
        .env_remove("IDPFLARE_API_KEY")
        .stdin(Stdio::null());
    command
}
