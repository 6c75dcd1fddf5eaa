//! The testing kit: what users test their own code with.

#[path = "../support/mod.rs"]
mod support;

mod capture;
mod errors;
mod fixtures;
mod layer_contract;
mod replay;
mod wrong_layers;
