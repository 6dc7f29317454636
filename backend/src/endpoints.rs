//! What happens at each resource: read the request, ask store and password workers, say what came of it.
//! One function an endpoint, by the names of the resources. None of them knows a status of a refusal.

pub(crate) mod posts;
pub(crate) mod probes;
pub(crate) mod users;
