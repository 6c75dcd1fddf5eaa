//! Which path leads where.

use axum::routing::{get, post};
use axum::{Router, middleware};
use idpflare_management::Client;
use metrics_exporter_prometheus::PrometheusHandle;

use super::problem::{self, Kind, Problem};
use super::{health, metrics, users};

pub(crate) fn router(client: Client, metrics: PrometheusHandle) -> Router {
    Router::new()
        .route("/users", get(users::list))
        .route("/users/{id}", get(users::get))
        .route("/users/{id}/block", post(users::block))
        .route("/users/{id}/offboard", post(users::offboard))
        .route("/readyz", get(health::ready))
        .with_state(client)
        .route("/healthz", get(health::live))
        .route("/metrics", get(async move || metrics::page(&metrics)))
        .fallback(async || Problem::new(Kind::NotFound, "No such path."))
        .method_not_allowed_fallback(async || {
            Problem::new(Kind::MethodNotAllowed, "Allow tells what can be.")
        })
        .layer(middleware::from_fn(problem::render))
}
