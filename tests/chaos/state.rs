//! What the server holds in the end.

use std::collections::HashMap;

use idpflare_management::*;

pub(crate) struct State {
    admin: Client,
    pub(crate) users: HashMap<UserId, User>,
    /// How many there are of each name.
    pub(crate) names: HashMap<String, usize>,
}

impl State {
    pub(crate) async fn of(admin: &Client) -> Self {
        let users = all_users(admin).await;
        let mut names = HashMap::new();
        let mut count = |name: &str| *names.entry(name.to_owned()).or_default() += 1;
        for user in users.values() {
            count(&user.email);
        }
        for offset in (0..).step_by(100) {
            let page = ListApiKeys::new().limit(100).offset(offset);
            let keys = admin.send(page).await.expect("keys");
            if keys.is_empty() {
                break;
            }
            keys.iter().for_each(|key| count(&key.name));
        }
        for offset in (0..).step_by(100) {
            let page = ListClients::new().limit(100).offset(offset);
            let clients = admin.send(page).await.expect("clients").clients;
            if clients.is_empty() {
                break;
            }
            clients.iter().for_each(|client| count(&client.name));
        }
        Self {
            admin: admin.clone(),
            users,
            names,
        }
    }

    pub(crate) fn count(&self, name: &str) -> usize {
        self.names.get(name).copied().unwrap_or_default()
    }

    pub(crate) async fn has_active_session(&self, id: &UserId) -> bool {
        let sessions = self.admin.send(ListUserSessions::new(id)).await;
        let sessions = sessions.expect("sessions");
        sessions.iter().any(|session| session.is_active)
    }

    pub(crate) async fn has_mfa(&self, id: &UserId) -> bool {
        let enrollments = self.admin.send(GetUserMfaEnrollments::new(id)).await;
        !enrollments.expect("enrollments").is_empty()
    }
}

pub(crate) async fn all_users(admin: &Client) -> HashMap<UserId, User> {
    let mut users = HashMap::new();
    for offset in (0..).step_by(100) {
        let page = ListUsers::new().limit(100).offset(offset);
        let page = admin.send(page).await.expect("users").users;
        if page.is_empty() {
            break;
        }
        users.extend(page.into_iter().map(|user| (user.id.clone(), user)));
    }
    users
}
