//! axum and tower: the layer that finds the tenant, extractors, errors as problem JSON, and the limits of one request.

mod body;
mod extract;
mod layer;
mod limits;
mod problem;
mod serve;

pub use self::{
    layer::{TenantLayer, TenantService},
    limits::{LimitsLayer, LimitsService, RequestLimits},
    problem::Problem,
};
