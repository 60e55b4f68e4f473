//! Greets whoever the event names. Built to an executable named bootstrap.

use lambda_runtime::{run, service_fn, Error, LambdaEvent};
use serde::Deserialize;
use serde_json::{json, Value};

#[derive(Deserialize)]
struct Event {
    name: Option<String>,
}

async fn greet(event: LambdaEvent<Event>) -> Result<Value, Error> {
    let name = event.payload.name.ok_or("nobody to greet")?;
    println!("greeting {name}");
    Ok(json!({
        "message": format!("Hello, {name}!"),
        "request_id": event.context.request_id,
        "function": event.context.env_config.function_name,
    }))
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    run(service_fn(greet)).await
}
