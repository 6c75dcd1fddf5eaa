//! What callers do: each with a user or an OAuth client of its own, so that the server's requests can
//! be told apart by their paths, and with names that no other has.

use std::sync::{Arc, OnceLock};

use idpflare_management::layers::Call;
use idpflare_management::testing::FakeIdpflare;
use idpflare_management::*;
use tower::util::MapRequest;

use crate::state;
use crate::support::dice::Dice;

#[derive(Clone, Debug)]
pub(crate) enum Act {
    GetUser(UserId),
    ListUsers,
    GetUserStats,
    Rename(UserId, String),
    Block(UserId),
    SetPassword(UserId),
    RevokeSessions(UserId),
    ResetMfa(UserId),
    Delete(UserId),
    CreateUser(String),
    CreateApiKey(String),
    CreateClient(String),
    RotateSecret(OAuthClientId),
}

/// What a caller was told, and how often the request was sent.
pub(crate) struct Told {
    pub(crate) outcome: Result<(), Error>,
    pub(crate) attempts: u32,
}

/// So many acts, and the users and clients that they need.
pub(crate) async fn plan(fake: &FakeIdpflare, seed: u64, operations: u64) -> Vec<Act> {
    let mut dice = Dice::new(seed);
    let choices: Vec<_> = (0..operations).map(|_| dice.below(13)).collect();
    fake.seed(choices.len());
    let admin = fake.client();
    let mut users = state::all_users(&admin).await.into_keys();
    let mut acts = Vec::with_capacity(choices.len());
    for (number, choice) in choices.into_iter().enumerate() {
        let name = format!("chaos-{number}");
        let mut user = || users.next().expect("one for each");
        acts.push(match choice {
            0 => Act::GetUser(user()),
            1 => Act::ListUsers,
            2 => Act::GetUserStats,
            3 => Act::Rename(user(), name),
            4 => Act::Block(user()),
            5 => Act::SetPassword(user()),
            6 => Act::RevokeSessions(user()),
            7 => Act::ResetMfa(user()),
            8 => Act::Delete(user()),
            9 => Act::CreateUser(format!("{name}@example.com")),
            10 => Act::CreateApiKey(name),
            11 => Act::CreateClient(name),
            _ => {
                let create = CreateClient::new(name, ["https://app.example.com/callback"]);
                let created = admin.send(create).await.expect("a client");
                Act::RotateSecret(created.client.id)
            }
        });
    }
    acts
}

impl Act {
    pub(crate) fn operation(&self) -> &'static Operation {
        match self {
            Self::GetUser(_) => GetUser::OPERATION,
            Self::ListUsers => ListUsers::OPERATION,
            Self::GetUserStats => GetUserStats::OPERATION,
            Self::Rename(..) => UpdateUser::OPERATION,
            Self::Block(_) => BlockUser::OPERATION,
            Self::SetPassword(_) => UpdateUserPassword::OPERATION,
            Self::RevokeSessions(_) => RevokeAllUserSessions::OPERATION,
            Self::ResetMfa(_) => ResetUserMfa::OPERATION,
            Self::Delete(_) => DeleteUser::OPERATION,
            Self::CreateUser(_) => CreateUser::OPERATION,
            Self::CreateApiKey(_) => CreateApiKey::OPERATION,
            Self::CreateClient(_) => CreateClient::OPERATION,
            Self::RotateSecret(_) => RotateClientSecret::OPERATION,
        }
    }

    /// Whose requests these are, where their path tells.
    pub(crate) fn subject(&self) -> Option<&str> {
        match self {
            Self::GetUser(id)
            | Self::Rename(id, _)
            | Self::Block(id)
            | Self::SetPassword(id)
            | Self::RevokeSessions(id)
            | Self::ResetMfa(id)
            | Self::Delete(id) => Some(id.as_str()),
            Self::RotateSecret(id) => Some(id.as_str()),
            Self::ListUsers
            | Self::GetUserStats
            | Self::CreateUser(_)
            | Self::CreateApiKey(_)
            | Self::CreateClient(_) => None,
        }
    }

    pub(crate) async fn perform(&self, client: &Client) -> Told {
        match self {
            Self::GetUser(id) => send(client, GetUser::new(id)).await,
            Self::ListUsers => send(client, ListUsers::new().limit(10)).await,
            Self::GetUserStats => send(client, GetUserStats::new()).await,
            Self::Rename(id, name) => send(client, UpdateUser::new(id).given_name(&**name)).await,
            Self::Block(id) => send(client, BlockUser::new(id)).await,
            Self::SetPassword(id) => {
                let request = UpdateUserPassword::new(id, "correct horse battery staple");
                send(client, request).await
            }
            Self::RevokeSessions(id) => send(client, RevokeAllUserSessions::new(id)).await,
            Self::ResetMfa(id) => send(client, ResetUserMfa::new(id)).await,
            Self::Delete(id) => send(client, DeleteUser::new(id)).await,
            Self::CreateUser(email) => send(client, CreateUser::new(&**email)).await,
            Self::CreateApiKey(name) => send(client, CreateApiKey::new(&**name)).await,
            Self::CreateClient(name) => {
                let uris = ["https://app.example.com/callback"];
                send(client, CreateClient::new(&**name, uris)).await
            }
            Self::RotateSecret(id) => send(client, RotateClientSecret::new(id)).await,
        }
    }
}

async fn send<R: ApiRequest>(client: &Client, request: R) -> Told {
    let call = Arc::new(OnceLock::new());
    let keep = Arc::clone(&call);
    let client = client.clone().map_service(|service| {
        MapRequest::new(service, move |request: http::Request<_>| {
            let call = Call::of(&request).expect("it is there").clone();
            keep.set(call).expect("one request a call");
            request
        })
    });
    let outcome = client.send(request).await.map(|_| ());
    Told {
        outcome,
        attempts: call.get().map_or(0, Call::attempts),
    }
}
