//! The types of requests and replies, and of what they are made of.

use bytes::Bytes;
use http::Response;
use idpflare_management::*;

use crate::operations::{Targets, perform};
use crate::secrets::{NEW_PASSWORD, PASSWORD};
use crate::sites::Site;
use crate::witness::Notes;

pub(crate) async fn operations(notes: &Notes) {
    let site = Site::in_process(notes);
    let targets = Targets::of(&site.fake).await.expect("targets");
    let client = site.client(notes);
    for operation in OPERATIONS {
        notes.debug(operation);
        notes.debug(&operation.safety);
        let arguments = targets.arguments(operation.id);
        assert!(perform(operation.id, &client, arguments, notes).await);
    }
    let authority = Authority::try_from("https://idp.example.com").expect("an authority");
    notes.debug(&authority);
    notes.display(&authority);
    notes.debug(&SecretString::from(PASSWORD));
    notes.error(&DecodeError::new("it is empty"));
    notes.error(&EncodeError::new("an id is empty"));
    let error = GetUser::new("..").to_http(&authority);
    notes.error(&error.expect_err("no id"));
    let shown = ShowsItsEncoder(notes.clone());
    shown.to_http(&authority).expect("a request");
    scalars(notes);
}

/// Those that are never by themselves.
fn scalars(notes: &Notes) {
    notes.debug(&UserId::from("usr_1"));
    notes.debug(&SessionId::from("ses_1"));
    notes.debug(&IdentityId::from("idn_1"));
    notes.debug(&RefreshTokenId::from("rtk_1"));
    notes.debug(&ApiKeyId::from("key_1"));
    notes.debug(&OAuthClientId::from("cli_1"));
    notes.debug(&AuditLogId::from("log_1"));
    let Scope::Unknown(unknown) = Scope::from("of a later version") else {
        panic!("no version knows it");
    };
    notes.debug(&unknown);
    notes.debug(&Scope::UsersRead);
    notes.debug(&GrantType::ClientCredentials);
    notes.debug(&MfaMethod::from("of a later version"));
    notes.debug(&IdentityProvider::from("of a later version"));
    notes.debug(&AuditStatus::from("of a later version"));
    notes.debug(&Timestamp::UNIX_EPOCH);
    notes.debug(&Patch::Set(1));
    notes.debug(&UserChanges::default());
    notes.debug(&ClientChanges::default());
}

/// Shows what it is encoded with, a password among that.
struct ShowsItsEncoder(Notes);

impl ApiRequest for ShowsItsEncoder {
    type Response = ();

    const OPERATION: &'static Operation = UpdateUserPassword::OPERATION;

    fn encode(&self, encoder: &mut Encoder<'_>) -> Result<(), EncodeError> {
        encoder.id("user_id", &"usr_1")?;
        encoder.query("password", Some(PASSWORD))?;
        encoder.json(NEW_PASSWORD)?;
        self.0.debug(encoder);
        Ok(())
    }

    fn decode(_: &Response<Bytes>) -> Result<(), DecodeError> {
        Ok(())
    }
}
