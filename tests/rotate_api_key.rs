//! The example `rotate_api_key`, as a program.

mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use http::StatusCode;
use idpflare_management::testing::{FakeIdpflare, FakeServer, Fault, FaultRule, FaultScript};
use idpflare_management::{
    ApiKey, ApiRequest, Client, CreateApiKey, Error, GetUserStats, ListApiKeys, RevokeApiKey, Scope,
};

use support::example::example;

/// An instance, and a directory that goes away with it.
struct Site {
    fake: FakeIdpflare,
    server: FakeServer,
    directory: PathBuf,
}

impl Site {
    async fn new(name: &str) -> Self {
        let fake = FakeIdpflare::new();
        let server = fake.serve().await.expect("a port");
        let name = format!("rotate-api-key-{name}-{}", std::process::id());
        let directory = std::env::temp_dir().join(name);
        fs::create_dir_all(&directory).expect("a directory");
        Self {
            fake,
            server,
            directory,
        }
    }

    fn store(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    fn command(&self, key: &str, arguments: &[&str]) -> Command {
        let mut command = example("rotate_api_key");
        command
            .env("IDPFLARE_AUTHORITY", self.server.authority())
            .env("IDPFLARE_API_KEY", key)
            .args(["--drain", "0"])
            .args(arguments);
        command
    }

    fn changing(&self, key: &str, store: &Path, arguments: &[&str]) -> Command {
        let mut command = self.command(key, arguments);
        command.args(["--yes", "--store"]).arg(store);
        command
    }

    fn quietly(&self, key: &str, store: &Path) -> Child {
        let mut command = self.changing(key, store, &[]);
        let command = command.stdout(Stdio::null()).stderr(Stdio::null());
        command.spawn().expect("it runs")
    }

    /// The active keys of the name that is rotated.
    async fn keys(&self) -> Vec<ApiKey> {
        let admin = self.fake.client_with_scopes(Scope::KNOWN.to_vec());
        let keys = admin.send(ListApiKeys::new().active_only(true)).await;
        let mut keys = keys.expect("keys");
        keys.retain(|key| key.name == "Root key");
        keys
    }

    async fn works(&self, key: &str) -> Result<(), Error> {
        let client = Client::builder(self.server.authority())
            .api_key(key)
            .build()?;
        client.send(GetUserStats::new()).await.map(drop)
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.directory);
    }
}

async fn run(mut command: Command) -> Output {
    let output = tokio::task::spawn_blocking(move || command.output());
    output.await.expect("no panic").expect("it runs")
}

fn text(output: &Output) -> String {
    let of = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    of(&output.stdout) + &of(&output.stderr)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_key_of_an_instance_is_replaced_only_when_told_to() {
    let site = Site::new("whole").await;
    let old = site.fake.api_key();
    let store = site.store("key");

    let foreseen = run(site.command(&old, &[])).await;
    assert_eq!(foreseen.status.code(), Some(0), "{}", text(&foreseen));
    assert!(text(&foreseen).contains("nothing was changed"));
    site.works(&old).await.expect("the old key works");
    assert_eq!(site.keys().await.len(), 1);

    let output = run(site.changing(&old, &store, &[])).await;
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    let new = fs::read_to_string(&store).expect("the new key");
    site.works(&new).await.expect("the new key works");
    let refused = site.works(&old).await.expect_err("the old key has ended");
    assert_eq!(refused.status(), Some(StatusCode::UNAUTHORIZED));
    assert_eq!(site.keys().await.len(), 1);
    for secret in [&old, &new] {
        assert!(!text(&output).contains(secret.as_str()));
    }
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = fs::metadata(&store).expect("it is there").permissions();
        assert_eq!(mode.mode() & 0o777, 0o600);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn where_the_new_key_has_no_place_none_is_created() {
    let site = Site::new("place").await;
    let old = site.fake.api_key();
    let taken = site.store("taken");
    fs::write(&taken, "what is there").expect("written");
    let sent = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&sent);
    site.fake.on_request(move |_| {
        count.fetch_add(1, Ordering::Relaxed);
    });
    for (command, says) in [
        (site.command(&old, &["--yes"]), "with --store FILE"),
        (site.changing(&old, &taken, &[]), "is there already"),
    ] {
        let output = run(command).await;
        assert_eq!(output.status.code(), Some(1));
        assert!(text(&output).contains(says), "{}", text(&output));
    }
    assert_eq!(sent.load(Ordering::Relaxed), 0);
    assert_eq!(fs::read_to_string(&taken).expect("text"), "what is there");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_can_not_be_done_is_no_success_of_a_dry_run() {
    let site = Site::new("dry").await;
    let output = run(site.command("idk_of_nobody", &[])).await;
    assert_eq!(output.status.code(), Some(1), "{}", text(&output));
    assert!(text(&output).contains("401"), "{}", text(&output));
}

/// A key that is in the file is the one to go on from. Before it was stored, the old one is.
#[tokio::test(flavor = "multi_thread")]
async fn after_a_kill_it_goes_on_from_the_key_that_was_stored() {
    // After the two pages in which the old key is found, the probe of the new one hangs; or else the
    // revocation of the old one does.
    for (operation, after, is_stored) in [
        (ListApiKeys::OPERATION, 2, false),
        (RevokeApiKey::OPERATION, 0, true),
    ] {
        let site = Site::new(&format!("kill-{is_stored}")).await;
        let old = site.fake.api_key();
        let (first, second) = (site.store("first"), site.store("second"));
        let hangs = FaultRule::new(Fault::delay(Duration::from_secs(3600)));
        let hangs = hangs.operation(operation).after(after);
        site.fake.set_faults(FaultScript::new().rule(hangs));
        let (creates, created) = tokio::sync::watch::channel(false);
        site.fake.on_request(move |entry| {
            if entry.operation.is_some_and(|it| it.id == "createApiKey") {
                creates.send_replace(true);
            }
        });
        let mut child = site.quietly(&old, &first);
        let has_content = || fs::read_to_string(&first).is_ok_and(|key| !key.is_empty());
        while !*created.borrow() || is_stored && !has_content() {
            let ended = child.try_wait().expect("a child");
            assert!(ended.is_none(), "it has ended: {ended:?}");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        child.kill().expect("killed");
        child.wait().expect("it ends");
        site.fake.clear_faults();
        assert_eq!(site.keys().await.len(), 2);
        assert_eq!(first.exists(), is_stored);

        let works = fs::read_to_string(&first).unwrap_or(old);
        let output = run(site.changing(&works, &second, &["--revoke-leftovers"])).await;
        assert_eq!(output.status.code(), Some(0), "{}", text(&output));
        assert_eq!(site.keys().await.len(), 1);
        let newest = fs::read_to_string(&second).expect("the key");
        site.works(&newest).await.expect("the newest key works");
    }
}

#[cfg(unix)]
#[tokio::test(flavor = "multi_thread")]
async fn ctrl_c_lets_it_finish() {
    let site = Site::new("interrupt").await;
    let old = site.fake.api_key();
    let store = site.store("key");
    let slow = FaultRule::new(Fault::delay(Duration::from_millis(500)));
    let slow = slow.operation(CreateApiKey::OPERATION);
    site.fake.set_faults(FaultScript::new().rule(slow));
    let (begins, mut begun) = tokio::sync::mpsc::unbounded_channel();
    site.fake.on_request(move |_| {
        let _ = begins.send(());
    });
    let mut child = site.quietly(&old, &store);
    begun.recv().await.expect("a request");
    let id = child.id().to_string();
    let told = Command::new("kill").args(["-INT", &id]).status();
    assert!(told.expect("kill").success());
    let ended = tokio::task::spawn_blocking(move || child.wait()).await;
    let ended = ended.expect("no panic").expect("it ends");
    assert_eq!(ended.code(), Some(0), "{ended}");
    assert_eq!(site.keys().await.len(), 1);
    let new = fs::read_to_string(&store).expect("the new key");
    site.works(&new).await.expect("the new key works");
}
