//! What can be asked and done about users.

use axum::Json;
use axum::extract::rejection::{JsonRejection, PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use idpflare_management::{BlockUser, Client, GetUser, ListUsers, User, UserId, UserPage};
use serde::Deserialize;

use super::offboard::{self, Offboarded};
use super::problem::{Kind, Problem};

const LONGEST_PAGE: u64 = 100;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Filter {
    search: Option<String>,
    limit: Option<u64>,
    offset: Option<u64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Block {
    reason: Option<String>,
}

type Target = Result<Path<UserId>, PathRejection>;

pub(crate) async fn list(
    State(client): State<Client>,
    filter: Result<Query<Filter>, QueryRejection>,
) -> Result<Json<UserPage>, Problem> {
    let Query(filter) = filter?;
    // The server would go by another limit, without saying that this one is none.
    if let Some(limit) = filter.limit
        && !(1..=LONGEST_PAGE).contains(&limit)
    {
        let detail = format!("limit is {limit}, but has to be from 1 to {LONGEST_PAGE}");
        return Err(Problem::new(Kind::InvalidRequest, detail));
    }
    let mut request = ListUsers::new();
    request.search = filter.search;
    request.limit = filter.limit;
    request.offset = filter.offset;
    Ok(Json(client.send(request).await?))
}

pub(crate) async fn get(
    State(client): State<Client>,
    target: Target,
) -> Result<Json<User>, Problem> {
    let Path(user_id) = target?;
    Ok(Json(client.send(GetUser::new(user_id)).await?))
}

pub(crate) async fn block(
    State(client): State<Client>,
    target: Target,
    body: Result<Option<Json<Block>>, JsonRejection>,
) -> Result<StatusCode, Problem> {
    let Path(user_id) = target?;
    let mut request = BlockUser::new(user_id);
    request.reason = body?.and_then(|Json(body)| body.reason);
    client.send(request).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(crate) async fn offboard(
    State(client): State<Client>,
    target: Target,
) -> Result<Json<Offboarded>, Problem> {
    let Path(user_id) = target?;
    Ok(Json(offboard::offboard(&client, user_id).await?))
}
