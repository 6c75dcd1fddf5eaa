//! The example as a program: where it finds the instance, and how it is told to stop.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use http::Request;
use http_body_util::{BodyExt, Full};
use idpflare_management::Transport;
use idpflare_management::testing::{FakeIdpflare, FakeServer};
use serde_json::Value;
use tower::ServiceExt;

use crate::support::example::example;

/// It is killed when it is dropped.
struct Program {
    child: Child,
    url: String,
}

impl Program {
    /// Of this instance, or of a fake of its own.
    fn start(instance: Option<(&FakeIdpflare, &FakeServer)>) -> Self {
        let mut command = example("axum_admin");
        command.stdout(Stdio::piped()).stderr(Stdio::null());
        if let Some((fake, server)) = instance {
            command
                .env("IDPFLARE_AUTHORITY", server.authority())
                .env("IDPFLARE_API_KEY", fake.api_key());
        }
        let mut child = command.spawn().expect("it starts");
        let stdout = child.stdout.as_mut().expect("a pipe");
        let mut url = String::new();
        BufReader::new(stdout).read_line(&mut url).expect("a line");
        Self {
            child,
            url: url.trim_end().to_owned(),
        }
    }

    async fn users(&self) -> Value {
        let uri = format!("{}/users?limit=1", self.url);
        let request = Request::get(uri).body(Full::default()).expect("a request");
        let transport = Transport::builder().without_tls().build();
        let reply = transport.expect("a transport").oneshot(request).await;
        let body = reply.expect("a reply").into_body().collect().await;
        serde_json::from_slice(&body.expect("a body").to_bytes()).expect("JSON")
    }

    /// With which code it ends.
    fn stop(mut self, signal: &str) -> Option<i32> {
        let id = self.child.id().to_string();
        let told = Command::new("kill").args([signal, &id]).status();
        assert!(told.expect("kill").success());
        self.child.wait().expect("it ends").code()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn it_manages_the_instance_that_the_environment_names() {
    let fake = FakeIdpflare::new();
    fake.seed(7);
    let server = fake.serve().await.expect("a port");
    let program = Program::start(Some((&fake, &server)));
    assert_eq!(program.users().await["total"], 7);
    assert_eq!(program.stop("-TERM"), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn without_one_it_manages_a_fake() {
    let program = Program::start(None);
    assert_eq!(program.users().await["total"], 20);
    assert_eq!(program.stop("-INT"), Some(0));
}
