//! axum and tower: the layer that finds the tenant, extractors, and errors as problem JSON.

mod extract;
mod layer;
mod problem;

pub use self::{
    layer::{TenantLayer, TenantService},
    problem::Problem,
};
