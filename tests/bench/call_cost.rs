//! What a call to a handler costs where the handler runs in a process of its own, over one inside the
//! server. certdock itself measures it, since nobody else can make the call.

use certdock_tests::World;
use serde_json::Value;

/// In microseconds, at the median.
const AIM: f64 = 30.0;

/// Whether the aim is met, and the figures.
pub(crate) async fn measure() -> (bool, String) {
    let world = World::prepare(|_| {}).await;
    let measured = world.server.command(&["call-cost"]).run().await.success();
    let costs: Value = serde_json::from_str(&measured.stdout).unwrap();
    let time = |place: &str, at: &str| costs[0][place][at].as_f64().unwrap();
    let more = time("process", "p50") - time("in_process", "p50");
    let text = format!(
        "a call to a handler in a process of its own costs at most {AIM} µs more at p50: {more:.1} µs \
         (p50 {:.1} and p99 {:.1} µs, inside the server {:.1} and {:.1} µs)",
        time("process", "p50"),
        time("process", "p99"),
        time("in_process", "p50"),
        time("in_process", "p99"),
    );
    (more <= AIM, text)
}
