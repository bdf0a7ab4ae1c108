//! Peers for the tests of validators: a DNS server and a web server on loopback that say what they
//! are told to say.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use hickory_proto::op::{Message, OpCode, Query, ResponseCode};
use hickory_proto::rr::rdata::{A, AAAA, CNAME, TXT};
use hickory_proto::rr::{Name, RData, Record, RecordType};
use parking_lot::Mutex;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::task::JoinSet;

use crate::order::{ChallengeType, Token};
use crate::validation::Proof;
use crate::validation::resolver::Resolver;

pub(super) fn proof(kind: ChallengeType, name: &str) -> Proof {
    let token = Token::random();
    Proof {
        kind,
        name: name.parse().unwrap(),
        key_authorization: format!("{}.thumb-print", token.as_str()),
        token,
    }
}

/// An authoritative-only name server: it does not follow its own aliases.
pub(super) struct Dns {
    pub(super) address: SocketAddr,
    zone: Arc<Mutex<Zone>>,
    _tasks: JoinSet<()>,
}

type Stray = Box<dyn Fn(&Message) -> Vec<u8> + Send>;

#[derive(Default)]
struct Zone {
    records: HashMap<Name, Vec<RData>>,
    failing: Vec<Name>,
    /// Answers that are given once, before the records.
    once: HashMap<Name, Vec<IpAddr>>,
    /// Larger answers go by TCP.
    udp_limit: usize,
    /// Sent before the answer by UDP, from the right address.
    strays: Vec<Stray>,
    knows_edns: bool,
    asked: Vec<Query>,
}

impl Dns {
    pub(super) fn start() -> Self {
        let bind = || {
            // The same port for both transports; another test may hold one of them.
            let udp = std::net::UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
            let tcp = std::net::TcpListener::bind(udp.local_addr().unwrap()).ok()?;
            udp.set_nonblocking(true).unwrap();
            tcp.set_nonblocking(true).unwrap();
            Some((udp, tcp))
        };
        let (udp, tcp) = std::iter::repeat_with(bind).flatten().next().unwrap();
        let address = udp.local_addr().unwrap();
        let zone = Arc::new(Mutex::new(Zone {
            udp_limit: 1232,
            knows_edns: true,
            ..Zone::default()
        }));
        let mut tasks = JoinSet::new();
        tasks.spawn(serve_udp(
            UdpSocket::from_std(udp).unwrap(),
            Arc::clone(&zone),
        ));
        tasks.spawn(serve_tcp(
            TcpListener::from_std(tcp).unwrap(),
            Arc::clone(&zone),
        ));
        Self {
            address,
            zone,
            _tasks: tasks,
        }
    }

    pub(super) fn resolver(&self) -> Resolver {
        Resolver::new(self.address)
    }

    pub(super) fn host(&self, name: &str, address: &str) {
        self.add(name, rdata(address.parse().unwrap()));
    }

    pub(super) fn cname(&self, name: &str, target: &str) {
        self.add(name, RData::CNAME(CNAME(absolute(target))));
    }

    pub(super) fn txt(&self, name: &str, strings: &[&str]) {
        let strings = strings.iter().map(|text| text.as_bytes()).collect();
        self.add(name, RData::TXT(TXT::from_bytes(strings)));
    }

    pub(super) fn fail(&self, name: &str) {
        self.zone.lock().failing.push(absolute(name));
    }

    /// The first address look-up of `name` gives this, later ones the records.
    pub(super) fn once(&self, name: &str, address: &str) {
        let mut zone = self.zone.lock();
        let answers = zone.once.entry(absolute(name)).or_default();
        answers.push(address.parse().unwrap());
    }

    pub(super) fn clear(&self) {
        self.zone.lock().records.clear();
    }

    pub(super) fn set_udp_limit(&self, limit: usize) {
        self.zone.lock().udp_limit = limit;
    }

    pub(super) fn forget_edns(&self) {
        self.zone.lock().knows_edns = false;
    }

    pub(super) fn stray(&self, make: impl Fn(&Message) -> Vec<u8> + Send + 'static) {
        self.zone.lock().strays.push(Box::new(make));
    }

    pub(super) fn asked(&self) -> Vec<(String, RecordType)> {
        let asked = &self.zone.lock().asked;
        asked
            .iter()
            .map(|query| (query.name.to_ascii(), query.query_type))
            .collect()
    }

    fn add(&self, name: &str, data: RData) {
        let mut zone = self.zone.lock();
        zone.records.entry(absolute(name)).or_default().push(data);
    }
}

fn absolute(name: &str) -> Name {
    Name::from_ascii(format!("{name}.")).unwrap()
}

fn rdata(address: IpAddr) -> RData {
    match address {
        IpAddr::V4(v4) => RData::A(A(v4)),
        IpAddr::V6(v6) => RData::AAAA(AAAA(v6)),
    }
}

impl Zone {
    fn answer(&mut self, query: &Message) -> Message {
        let question = query.queries[0].clone();
        self.asked.push(question.clone());
        let mut answer = Message::response(query.metadata.id, OpCode::Query);
        if query.edns.is_some() && !self.knows_edns {
            answer.metadata.response_code = ResponseCode::FormErr;
            return answer;
        }
        answer.add_query(question.clone());
        if self.failing.contains(&question.name) {
            answer.metadata.response_code = ResponseCode::ServFail;
            return answer;
        }
        let once = self.once.get_mut(&question.name).and_then(|addresses| {
            let fits = addresses
                .iter()
                .position(|address| rdata(*address).record_type() == question.query_type)?;
            Some(vec![rdata(addresses.remove(fits))])
        });
        let Some(records) = once.as_ref().or_else(|| self.records.get(&question.name)) else {
            answer.metadata.response_code = ResponseCode::NXDomain;
            return answer;
        };
        for data in records {
            if data.record_type() == question.query_type || matches!(data, RData::CNAME(_)) {
                answer.add_answer(Record::from_rdata(question.name.clone(), 60, data.clone()));
            }
        }
        answer
    }
}

async fn serve_udp(socket: UdpSocket, zone: Arc<Mutex<Zone>>) {
    let mut buffer = [0; 4096];
    loop {
        let Ok((length, peer)) = socket.recv_from(&mut buffer).await else {
            continue;
        };
        let query = Message::from_vec(&buffer[..length]).unwrap();
        let (strays, answer) = {
            let mut zone = zone.lock();
            let strays: Vec<_> = zone.strays.iter().map(|make| make(&query)).collect();
            let mut answer = zone.answer(&query);
            if answer.to_vec().unwrap().len() > zone.udp_limit {
                answer.answers.clear();
                answer.metadata.truncation = true;
            }
            (strays, answer.to_vec().unwrap())
        };
        for bytes in strays.into_iter().chain([answer]) {
            let _ = socket.send_to(&bytes, peer).await;
        }
    }
}

async fn serve_tcp(listener: TcpListener, zone: Arc<Mutex<Zone>>) {
    loop {
        let (mut stream, _) = listener.accept().await.unwrap();
        let length = stream.read_u16().await.unwrap();
        let mut query = vec![0; usize::from(length)];
        stream.read_exact(&mut query).await.unwrap();
        let query = Message::from_vec(&query).unwrap();
        let answer = zone.lock().answer(&query).to_vec().unwrap();
        stream
            .write_u16(answer.len().try_into().unwrap())
            .await
            .unwrap();
        stream.write_all(&answer).await.unwrap();
    }
}

/// A server that reads the head of one request from each connection and hands it on.
pub(super) struct Peer {
    pub(super) port: u16,
    _tasks: JoinSet<()>,
}

impl Peer {
    pub(super) async fn start<F, A>(address: &str, act: F) -> Self
    where
        F: Fn(TcpStream, String) -> A + Send + Sync + 'static,
        A: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind(address).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let head = read_head(&mut stream).await;
                connections.spawn(act(stream, head));
            }
        });
        Self {
            port,
            _tasks: tasks,
        }
    }

    /// Answers every request by what `answer` makes of its head.
    pub(super) async fn web(answer: impl Fn(&str) -> String + Send + Sync + 'static) -> Self {
        Self::start("127.0.0.1:0", move |mut stream, head| {
            let answer = answer(&head);
            async move {
                let _ = stream.write_all(answer.as_bytes()).await;
                let _ = stream.shutdown().await;
            }
        })
        .await
    }
}

async fn read_head(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) => break,
        }
    }
    String::from_utf8(head).unwrap()
}

pub(super) fn ok(body: &str) -> String {
    format!(
        "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

pub(super) fn redirect(status: u16, location: &str) -> String {
    format!("HTTP/1.1 {status} Moved\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n")
}
