//! What a real browser makes of the gateway: Chromium, with its own cookies and its own rules.

use portcullis_tests::{Balancer, Chromium, Kind, Stack};
use thirtyfour::By;

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_reaches_two_gateways_at_one_origin() {
    let mut stack = Stack::start(Kind::Redis).await;
    let other = stack.another_gateway().await;
    let balancer = Balancer::start(vec![stack.address(), other.address()]).await;
    let browser = Chromium::start().await;
    browser.goto(format!("http://{}/public/hello", balancer.address())).await.unwrap();
    assert_eq!(browser.find(By::Tag("body")).await.unwrap().text().await.unwrap(), "{}");
    let seen = stack.recorder.seen().into_iter().find(|seen| seen.target() == "GET /public/hello").unwrap();
    assert!(seen.header("user-agent").unwrap().contains("Chrome/"), "{}", seen.head);
}
