//! What a gateway in a process of its own says in its logs.

use serde_json::Value;

/// Where a listener says that it listens, in logs of either form.
pub fn listening(logs: &str, listener: &str) -> Option<String> {
    let mark = match listener {
        "admin" => "admin listening address=".to_owned(),
        name => format!("listening listener=\"{name}\" address="),
    };
    if let Some(rest) = logs.lines().find_map(|line| Some(line.split_once(&mark)?.1)) {
        return Some(rest.to_owned());
    }
    let mut objects = logs.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let named = |object: &Value| match listener {
        "admin" => object["message"] == "admin listening",
        name => object["message"] == "listening" && object["listener"] == name,
    };
    objects.find(named).and_then(|object| object["address"].as_str().map(str::to_owned))
}
