//! The 30 operations with arguments, and what is shown of each.

use std::fmt::Debug;
use std::pin::Pin;

use idpflare_management::testing::FakeIdpflare;
use idpflare_management::*;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::secrets::{NEW_PASSWORD, PASSWORD};
use crate::support::with_operation;
use crate::witness::Notes;

/// What there is to perform operations on. What is deleted is there for that.
pub(crate) struct Targets {
    user_id: UserId,
    session_id: SessionId,
    identity_id: IdentityId,
    client_id: OAuthClientId,
    deleted_user: UserId,
    deleted_client: OAuthClientId,
    revoked_key: ApiKeyId,
    new_email: String,
}

impl Targets {
    /// Of an instance that has users.
    pub(crate) async fn of(fake: &FakeIdpflare) -> Result<Self, Error> {
        let client = fake.client();
        let stats = client.send(GetUserStats::new()).await?;
        let new_email = format!("user{}@example.com", stats.total);
        let deleted = client
            .send(CreateUser::new(format!("not-{new_email}")))
            .await?;
        let app = || CreateClient::new("app", ["https://app.example.com/cb"]);
        let mut targets = Self {
            user_id: deleted.id.clone(),
            session_id: SessionId::from("ses_unknown"),
            identity_id: IdentityId::from("idn_unknown"),
            client_id: client.send(app()).await?.client.id,
            deleted_user: deleted.id,
            deleted_client: client.send(app()).await?.client.id,
            revoked_key: client.send(CreateApiKey::new("key")).await?.api_key.id,
            new_email,
        };
        for user in client.send(ListUsers::new()).await?.users {
            let sessions = client.send(ListUserSessions::new(&user.id)).await?;
            let identities = client.send(ListUserIdentities::new(&user.id)).await?;
            if let (Some(session), Some(identity)) = (sessions.first(), identities.first()) {
                targets.user_id = user.id;
                targets.session_id = session.id.clone();
                targets.identity_id = identity.id.clone();
                break;
            }
        }
        Ok(targets)
    }

    /// That nobody knows.
    pub(crate) fn unknown() -> Self {
        Self {
            user_id: "usr_x".into(),
            session_id: "ses_x".into(),
            identity_id: "idn_x".into(),
            client_id: "cli_x".into(),
            deleted_user: "usr_x".into(),
            deleted_client: "cli_x".into(),
            revoked_key: "key_x".into(),
            new_email: String::from("not an address"),
        }
    }

    /// The arguments of the operation with this id.
    pub(crate) fn arguments(&self, id: &str) -> Value {
        match id {
            "listUsers" => json!({"search": "ada", "limit": 2}),
            "createUser" => json!({"email": self.new_email, "password": PASSWORD}),
            "updateUser" => json!({"user_id": self.user_id, "locale": "fr"}),
            "updateUserPassword" => {
                json!({"user_id": self.user_id, "password": NEW_PASSWORD})
            }
            "deleteUser" => json!({"user_id": self.deleted_user}),
            "revokeUserSession" => {
                json!({"user_id": self.user_id, "session_id": self.session_id})
            }
            "unlinkUserIdentity" => {
                json!({"user_id": self.user_id, "identity_id": self.identity_id})
            }
            "createApiKey" => json!({"name": "reports", "scopes": ["users:read"]}),
            "revokeApiKey" => json!({"key_id": self.revoked_key}),
            "createClient" => {
                json!({"name": "app", "redirect_uris": ["https://app.example.com/cb"]})
            }
            "updateClient" => json!({"client_id": self.client_id, "description": "changed"}),
            "getClient" | "rotateClientSecret" => json!({"client_id": self.client_id}),
            "deleteClient" => json!({"client_id": self.deleted_client}),
            _ => json!({"user_id": self.user_id}),
        }
    }
}

/// Whether it succeeded.
type Outcome = Pin<Box<dyn Future<Output = bool> + Send>>;

/// Performs the operation with this id, and notes all that its request and its outcome show.
pub(crate) fn perform(id: &str, client: &Client, arguments: Value, notes: &Notes) -> Outcome {
    let (client, notes) = (client.clone(), notes.clone());
    with_operation!(id, perform_as(client, arguments, notes)).expect("a known operation")
}

fn perform_as<R>(client: Client, arguments: Value, notes: Notes) -> Outcome
where
    R: ApiRequest + DeserializeOwned + Debug + Send + 'static,
    R::Response: Debug + Send,
{
    Box::pin(async move {
        let request: R = serde_json::from_value(arguments).expect("arguments");
        notes.debug(&request);
        match client.execute(request).await {
            Ok(reply) => {
                notes.debug(&reply);
                notes.debug(reply.body());
                true
            }
            Err(error) => {
                notes.error(&error);
                if let Some(decode) = error.decode_error() {
                    notes.error(decode);
                }
                false
            }
        }
    })
}
