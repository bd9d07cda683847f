//! The local server: pages under any path, and receivers of messages under `/hook/NAME`.

use std::collections::{HashMap, HashSet, VecDeque};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use serde_json::Value;
use tokio::net::TcpListener;

/// Longer than any test waits.
const FOREVER: Duration = Duration::from_secs(600);

#[derive(Clone)]
pub(crate) struct Site {
    address: SocketAddr,
    scene: Arc<Mutex<Scene>>,
}

#[derive(Default)]
struct Scene {
    pages: HashMap<String, Page>,
    asked: Vec<Asked>,
    served: HashMap<String, usize>,
    under_way: HashMap<String, usize>,
    most_at_once: HashMap<String, usize>,
    answers: HashMap<String, VecDeque<Answer>>,
    usual: HashMap<String, Answer>,
    limits: HashMap<String, Limit>,
    let_go: HashSet<String>,
    posts: Vec<Post>,
}

/// How many posts a receiver takes in how long, as Discord counts them.
struct Limit {
    most: usize,
    window: Duration,
    began: Instant,
    used: usize,
}

impl Limit {
    /// The answer to the next post, with the headers that say how many more there may be.
    fn answer(&mut self) -> Answer {
        if self.began.elapsed() >= self.window {
            (self.began, self.used) = (Instant::now(), 0);
        }
        let is_over = self.used == self.most;
        self.used = self.most.min(self.used + 1);
        let left = self.window.saturating_sub(self.began.elapsed()).as_secs_f64();
        let answer = Answer::status(if is_over { 429 } else { 200 })
            .header("content-type", "application/json")
            .header("x-ratelimit-limit", &self.most.to_string())
            .header("x-ratelimit-remaining", &(self.most - self.used).to_string())
            .header("x-ratelimit-reset-after", &format!("{left:.3}"))
            .header("x-ratelimit-bucket", "abcd1234");
        if !is_over {
            return answer.body("{\"id\": \"1\"}");
        }
        let body = format!(
            "{{\"message\": \"You are being rate limited.\", \"retry_after\": {left:.3}, \"global\": false}}"
        );
        answer.header("retry-after", &left.ceil().to_string()).header("x-ratelimit-scope", "user").body(&body)
    }
}

/// A request for a page.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) path: String,
    pub(crate) headers: HeaderMap,
    pub(crate) at: Instant,
}

impl Asked {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

/// A message that was posted, and how it was answered.
#[derive(Clone, Debug)]
pub(crate) struct Post {
    pub(crate) hook: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
    pub(crate) at: Instant,
    /// `None` for no answer at all.
    pub(crate) answered: Option<u16>,
}

impl Post {
    pub(crate) fn header(&self, name: &str) -> String {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned()
    }

    /// The delivery.
    pub(crate) fn id(&self) -> String {
        self.header("webhook-id")
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }

    pub(crate) fn title(&self) -> String {
        self.json()["data"]["title"].as_str().unwrap().to_owned()
    }

    pub(crate) fn body(&self) -> String {
        self.json()["data"]["body"].as_str().unwrap().to_owned()
    }

    pub(crate) fn alerts(&self) -> Vec<Value> {
        self.json()["data"]["alerts"].as_array().unwrap().clone()
    }

    pub(crate) fn was_taken(&self) -> bool {
        self.answered.is_some_and(|status| (200..300).contains(&status))
    }
}

/// What a path shows.
#[derive(Clone, Debug)]
pub(crate) struct Page {
    status: u16,
    headers: Vec<(String, String)>,
    body: String,
    delay: Duration,
    breaks_off: bool,
}

impl Page {
    pub(crate) fn new(body: impl Into<String>) -> Self {
        Self { status: 200, headers: vec![], body: body.into(), delay: Duration::ZERO, breaks_off: false }
    }

    pub(crate) fn html(body: &str) -> Self {
        Self::new(body).header("content-type", "text/html; charset=utf-8")
    }

    pub(crate) fn text(&self) -> String {
        self.body.clone()
    }

    pub(crate) fn status(self, status: u16) -> Self {
        Self { status, ..self }
    }

    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    pub(crate) fn after(self, delay: Duration) -> Self {
        Self { delay, ..self }
    }

    /// Takes the connection and says nothing.
    pub(crate) fn hanging(self) -> Self {
        self.after(FOREVER)
    }

    /// Ends in the middle of the body.
    pub(crate) fn breaking_off(self) -> Self {
        Self { breaks_off: true, ..self }
    }

    fn response(self, headers: &HeaderMap) -> Response {
        let etag = self.headers.iter().find(|(name, _)| name == "etag").map(|(_, value)| value.as_str());
        let known = headers.get("if-none-match").and_then(|value| value.to_str().ok());
        let mut response = Response::builder().status(self.status);
        for (name, value) in &self.headers {
            response = response.header(name, value);
        }
        if etag.is_some() && etag == known {
            return response.status(StatusCode::NOT_MODIFIED).body(Body::empty()).unwrap();
        }
        if !self.breaks_off {
            return response.body(Body::from(self.body)).unwrap();
        }
        let half = Bytes::copy_from_slice(&self.body.as_bytes()[..self.body.len() / 2]);
        let parts = [Ok(half), Err(std::io::Error::other("the line is cut"))];
        response.body(Body::from_stream(futures_util::stream::iter(parts))).unwrap()
    }
}

/// How a receiver of messages answers.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    status: u16,
    headers: Vec<(String, String)>,
    body: String,
    delay: Duration,
    is_held: bool,
}

impl Answer {
    pub(crate) fn status(status: u16) -> Self {
        Self { status, headers: vec![], body: String::new(), delay: Duration::ZERO, is_held: false }
    }

    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    pub(crate) fn body(self, body: &str) -> Self {
        Self { body: body.into(), ..self }
    }

    pub(crate) fn after(self, delay: Duration) -> Self {
        Self { delay, ..self }
    }

    /// Not before the receiver lets its answers go.
    pub(crate) fn held(self) -> Self {
        Self { is_held: true, ..self }
    }

    pub(crate) fn never() -> Self {
        Self::status(204).after(FOREVER)
    }
}

impl Site {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let site = Self { address: listener.local_addr().unwrap(), scene: Arc::default() };
        let router = Router::new().fallback(play).with_state(site.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        site
    }

    pub(crate) fn origin(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The server as the daemon names it.
    pub(crate) fn host(&self) -> String {
        self.address.to_string()
    }

    fn scene(&self) -> MutexGuard<'_, Scene> {
        self.scene.lock().unwrap()
    }

    /// What a path shows from now on.
    pub(crate) fn show(&self, path: &str, page: Page) {
        self.scene().pages.insert(path.to_owned(), page);
    }

    /// The requests for a path so far.
    pub(crate) fn asked(&self, path: &str) -> Vec<Asked> {
        self.scene().asked.iter().filter(|asked| asked.path == path).cloned().collect()
    }

    /// How often a path was shown.
    pub(crate) fn served(&self, path: &str) -> usize {
        self.scene().served.get(path).copied().unwrap_or(0)
    }

    /// How many requests for a path were ever under way at the same time.
    pub(crate) fn most_at_once(&self, path: &str) -> usize {
        self.scene().most_at_once.get(path).copied().unwrap_or(0)
    }

    /// How a receiver answers the next messages, one each; then as usual.
    pub(crate) fn answer(&self, hook: &str, answers: impl IntoIterator<Item = Answer>) {
        self.scene().answers.entry(hook.to_owned()).or_default().extend(answers);
    }

    /// How a receiver answers as usual.
    pub(crate) fn answer_always(&self, hook: &str, answer: Answer) {
        let mut scene = self.scene();
        scene.answers.remove(hook);
        scene.usual.insert(hook.to_owned(), answer);
    }

    /// A receiver gives the answers that it held, and holds no more.
    pub(crate) fn let_go(&self, hook: &str) {
        self.scene().let_go.insert(hook.to_owned());
    }

    /// A receiver takes only so many posts in so long.
    pub(crate) fn limit(&self, hook: &str, most: usize, window: Duration) {
        let limit = Limit { most, window, began: Instant::now(), used: 0 };
        self.scene().limits.insert(hook.to_owned(), limit);
    }

    /// Everything that was posted, also what was not taken.
    pub(crate) fn posts(&self, hook: &str) -> Vec<Post> {
        self.scene().posts.iter().filter(|post| post.hook == hook).cloned().collect()
    }

    /// What was posted and taken, by any receiver.
    pub(crate) fn messages(&self) -> Vec<Post> {
        self.scene().posts.iter().filter(|post| post.was_taken()).cloned().collect()
    }
}

/// Counts a request as under way until it is answered or the asker is gone.
struct UnderWay(Site, String);

impl UnderWay {
    fn new(site: &Site, path: &str) -> Self {
        let mut scene = site.scene();
        let now = scene.under_way.entry(path.to_owned()).or_default();
        *now += 1;
        let now = *now;
        let most = scene.most_at_once.entry(path.to_owned()).or_default();
        *most = now.max(*most);
        Self(site.clone(), path.to_owned())
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        *self.0.scene().under_way.get_mut(&self.1).unwrap() -= 1;
    }
}

async fn play(State(site): State<Site>, request: Request) -> Response {
    let path = request.uri().path().to_owned();
    if let Some(hook) = path.strip_prefix("/hook/") {
        return take(&site, hook, request).await;
    }
    let _under_way = UnderWay::new(&site, &path);
    let page = {
        let mut scene = site.scene();
        let headers = request.headers().clone();
        *scene.served.entry(path.clone()).or_default() += 1;
        scene.asked.push(Asked { path: path.clone(), headers, at: Instant::now() });
        scene.pages.get(&path).cloned()
    };
    let page = page.unwrap_or_else(|| Page::html("<h1>Not found</h1>").status(404));
    tokio::time::sleep(page.delay).await;
    page.response(request.headers())
}

async fn take(site: &Site, hook: &str, request: Request) -> Response {
    // What follows the name is for addresses that are secret.
    let hook = hook.split('/').next().unwrap().to_owned();
    let headers = request.headers().clone();
    let body = axum::body::to_bytes(request.into_body(), 1 << 20).await.unwrap();
    let (answer, number) = {
        let mut scene = site.scene();
        let next = scene.answers.get_mut(&hook).and_then(VecDeque::pop_front);
        let next = next.or_else(|| scene.limits.get_mut(&hook).map(Limit::answer));
        let answer = next.or_else(|| scene.usual.get(&hook).cloned()).unwrap_or(Answer::status(204));
        let body = String::from_utf8_lossy(&body).into_owned();
        scene.posts.push(Post { hook: hook.clone(), headers, body, at: Instant::now(), answered: None });
        (answer, scene.posts.len() - 1)
    };
    tokio::time::sleep(answer.delay).await;
    while answer.is_held && !site.scene().let_go.contains(&hook) {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    site.scene().posts[number].answered = Some(answer.status);
    let mut response = Response::builder().status(answer.status);
    for (name, value) in &answer.headers {
        response = response.header(name, value);
    }
    response.body(Body::from(answer.body)).unwrap()
}
