//! What a line says of a user who is there already.

use crate::{CreateUser, Patch, User, UserChanges};

/// What would have to change for `user` to be as `wanted` says: `None` where nothing would. What a
/// line does not say stays as it is, and so do address and password: the one is what the user was
/// found by, the other may be in use.
pub(super) fn changes(wanted: &CreateUser, user: &User) -> Option<UserChanges> {
    // Without `..`, so that a new field can't be forgotten.
    let CreateUser {
        email: _,
        password: _,
        given_name,
        family_name,
        picture_url,
        locale,
        email_verified,
        roles,
        is_active,
        metadata,
    } = wanted;
    let changes = UserChanges {
        given_name: patch(given_name, &user.given_name),
        family_name: patch(family_name, &user.family_name),
        picture_url: patch(picture_url, &user.picture_url),
        locale: differing(locale, &user.locale),
        email_verified: differing(email_verified, &user.email_verified),
        roles: roles
            .clone()
            .filter(|roles| sorted(roles) != sorted(&user.roles)),
        is_active: differing(is_active, &user.is_active),
        metadata: patch(metadata, &user.metadata),
        ..UserChanges::default()
    };
    (changes != UserChanges::default()).then_some(changes)
}

fn patch<T: Clone + PartialEq>(wanted: &Option<T>, current: &Option<T>) -> Patch<T> {
    Patch::set_or_keep(wanted.clone().filter(|_| wanted != current))
}

fn differing<T: Clone + PartialEq>(wanted: &Option<T>, current: &T) -> Option<T> {
    wanted.clone().filter(|wanted| wanted != current)
}

/// Roles have no order.
fn sorted(roles: &[String]) -> Vec<&str> {
    let mut roles: Vec<_> = roles.iter().map(String::as_str).collect();
    roles.sort_unstable();
    roles.dedup();
    roles
}
