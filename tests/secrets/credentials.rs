//! Keys that are rotated, refused, provided, not provided, or no keys.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use http::StatusCode;
use idpflare_management::layers::{ApiKey, BoxError, Credential};
use idpflare_management::testing::{Fault, FaultRule, FaultScript};
use idpflare_management::*;
use tokio::runtime::Runtime;

use crate::secrets::{API_KEY, AUTHORITY_PASSWORD, PASSWORD, ROTATED_KEY, UNSENDABLE_KEY};
use crate::sites::Site;
use crate::witness::Witness;

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build()
        .expect("a runtime")
}

fn key(key: &str) -> ApiKey {
    ApiKey::new(key).expect("a key")
}

/// All that a client says that has `handle`, where its key is refused once.
async fn refused_once(witness: &Witness, handle: KeyHandle) -> Result<User, Error> {
    let site = Site::in_process(&witness.notes);
    let refusal =
        Fault::status(StatusCode::UNAUTHORIZED).delayed(std::time::Duration::from_secs(1));
    let script = FaultScript::new().rule(FaultRule::new(refusal));
    witness.notes.debug(&script);
    site.fake.set_faults(script);
    let client = site.client_with(&witness.notes, handle.clone());
    let new = CreateUser::new("ada@example.com").password(PASSWORD);
    let call = tokio::spawn(client.send(new));
    tokio::time::sleep(std::time::Duration::from_millis(500)).await;
    handle.rotate(key(ROTATED_KEY));
    witness.notes.debug(&handle);
    call.await.expect("no panic")
}

#[test]
fn a_key_that_is_rotated() {
    let mut witness = Witness::start();
    runtime().block_on(async {
        let given = KeyHandle::new(key(API_KEY));
        refused_once(&witness, given).await.expect("sent again");
        let asked = KeyHandle::from_provider(async || Ok::<_, BoxError>(key(API_KEY)));
        refused_once(&witness, asked).await.expect("sent again");
    });
    witness.assert_discreet("a rotated key");
}

#[test]
fn a_provider_that_gives_another_key_each_time() {
    let mut witness = Witness::start();
    runtime().block_on(async {
        let asked = Arc::new(AtomicU32::new(0));
        let provider = move || {
            let keys = [API_KEY, ROTATED_KEY];
            let next = asked.fetch_add(1, Ordering::Relaxed) as usize % keys.len();
            std::future::ready(Ok::<_, BoxError>(Credential::new(key(keys[next]))))
        };
        let site = Site::in_process(&witness.notes);
        let handle = KeyHandle::from_provider(provider);
        let client = site.client_with(&witness.notes, handle);
        for _ in 0..3 {
            client.send(GetUserStats::new()).await.expect("stats");
            let refusal = Fault::status(StatusCode::UNAUTHORIZED);
            site.fake
                .set_faults(FaultScript::new().rule(FaultRule::new(refusal)));
            tokio::time::sleep(KeyHandle::REFUSAL_PAUSE).await;
        }
    });
    witness.assert_discreet("keys of a provider");
}

#[test]
fn a_provider_that_fails() {
    let mut witness = Witness::start();
    runtime().block_on(async {
        let failing = [
            KeyHandle::from_provider(async || ApiKey::new(UNSENDABLE_KEY)),
            KeyHandle::from_provider(async || {
                Err::<ApiKey, _>(io::Error::other("the vault is sealed"))
            }),
            KeyHandle::from_provider(std::future::pending::<Result<ApiKey, BoxError>>),
        ];
        for handle in failing {
            let site = Site::in_process(&witness.notes);
            let client = site.client_with(&witness.notes, handle);
            let call = client.send(UpdateUserPassword::new("usr_1", PASSWORD));
            let error = call.await.expect_err("no key");
            assert_eq!(error.kind(), ErrorKind::Credential);
            witness.notes.error(&error);
        }
    });
    witness.assert_discreet("a provider that fails");
}

#[test]
fn settings_that_are_refused() {
    let mut witness = Witness::start();
    let with_password = format!("https://admin:{AUTHORITY_PASSWORD}@idp.example.com");
    for authority in [
        with_password.clone(),
        format!("{with_password}/?key={AUTHORITY_PASSWORD}"),
        format!("https://idp.example.com/?key={AUTHORITY_PASSWORD}"),
        format!("https://idp.example.com/#{AUTHORITY_PASSWORD}"),
        format!("ftp://{AUTHORITY_PASSWORD}"),
        format!("https://idp example com/{AUTHORITY_PASSWORD}"),
    ] {
        let builder = Client::builder(authority.as_str()).api_key(API_KEY);
        witness.notes.debug(&builder);
        witness.notes.error(&builder.build().expect_err("refused"));
        witness
            .notes
            .error(&Authority::insecure(&authority).expect_err("refused"));
    }
    for key in [UNSENDABLE_KEY, PASSWORD] {
        witness.notes.error(&ApiKey::new(key).expect_err("refused"));
        let builder = Client::builder("https://idp.example.com").api_key(key);
        witness.notes.debug(&builder);
        witness.notes.error(&builder.build().expect_err("refused"));
    }
    let builder = Client::builder("https://idp.example.com")
        .api_key(API_KEY)
        .user_agent(UNSENDABLE_KEY);
    witness.notes.debug(&builder);
    witness.notes.error(&builder.build().expect_err("refused"));
    witness.assert_discreet("settings");
}
