//! [`Resolver`]: looks names up at the configured resolvers, and keeps no cache: a client that has
//! just changed its records is judged by what stands there now.
//!
//! It is a stub: recursion and DNSSEC are the resolver's work, which is why it should be near and
//! trusted.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use hickory_proto::op::{Edns, Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::{Name, RData, RecordType};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::timeout;

use crate::random;

/// Asks a few servers, one after the other.
#[derive(Clone, Debug)]
pub(super) struct Resolver {
    servers: Vec<SocketAddr>,
}

/// Why a look-up gave nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum LookupError {
    #[error("the name does not exist")]
    NoSuchName,
    #[error("the name is too long to look up")]
    NameTooLong,
    #[error("the look-up leads through too many aliases")]
    TooManyAliases,
    #[error("the resolver answered {0}")]
    Refused(ResponseCode),
    #[error("the resolver gave no usable answer in time")]
    NoAnswer,
}

impl Resolver {
    pub(super) fn new(server: SocketAddr) -> Self {
        Self {
            servers: vec![server],
        }
    }

    /// The servers that resolv.conf names; as with libc, this machine's own if it names none.
    ///
    /// # Errors
    /// The file is there and can't be read.
    pub(super) fn from_system(resolv_conf: &Path) -> std::io::Result<Self> {
        let text = match std::fs::read(resolv_conf) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(error),
        };
        let (config, _) = resolv_conf::Config::parse_with_errors(&text);
        let servers = config
            .nameservers
            .iter()
            .take(MAX_SERVERS)
            .map(|server| SocketAddr::new(server.into(), DNS_PORT))
            .collect::<Vec<_>>();
        if servers.is_empty() {
            return Ok(Self::new((Ipv4Addr::LOCALHOST, DNS_PORT).into()));
        }
        Ok(Self { servers })
    }

    /// The addresses of a host, IPv6 first; empty if it has none.
    ///
    /// # Errors
    /// Neither kind of address could be looked up.
    pub(super) async fn addresses(&self, host: &str) -> Result<Vec<IpAddr>, LookupError> {
        // RFC 6761 §6.3: these names are this machine, and no resolver is asked for them.
        if is_localhost(host) {
            return Ok(vec![Ipv6Addr::LOCALHOST.into(), Ipv4Addr::LOCALHOST.into()]);
        }
        let (v6, v4) = tokio::join!(
            self.look_up(host, RecordType::AAAA),
            self.look_up(host, RecordType::A)
        );
        // Some name servers stumble over AAAA alone; one kind of address is enough.
        let found = match (v6, v4) {
            (Ok(mut v6), Ok(v4)) => {
                v6.extend(v4);
                v6
            }
            (Ok(found), Err(error)) | (Err(error), Ok(found)) if found.is_empty() => {
                return Err(error);
            }
            (Ok(found), Err(_)) | (Err(_), Ok(found)) => found,
            (Err(_), Err(error)) => return Err(error),
        };
        Ok(found.iter().filter_map(address).collect())
    }

    /// The TXT records of a name, the strings of each joined.
    ///
    /// # Errors
    /// The look-up failed.
    pub(super) async fn texts(&self, name: &str) -> Result<Vec<Vec<u8>>, LookupError> {
        if is_localhost(name) {
            return Err(LookupError::NoSuchName);
        }
        let found = self.look_up(name, RecordType::TXT).await?;
        Ok(found.iter().filter_map(text).collect())
    }

    /// Follows aliases where the resolver did not.
    async fn look_up(&self, name: &str, kind: RecordType) -> Result<Vec<RData>, LookupError> {
        let mut name =
            Name::from_ascii(format!("{name}.")).map_err(|_| LookupError::NameTooLong)?;
        for _ in 0..MAX_QUERIES {
            let answer = self.ask(&Query::query(name.clone(), kind)).await?;
            match follow(&answer, name, kind)? {
                Step::Found(records) => return Ok(records),
                Step::Alias(target) => name = target,
            }
        }
        Err(LookupError::TooManyAliases)
    }

    async fn ask(&self, question: &Query) -> Result<Message, LookupError> {
        let mut error = LookupError::NoAnswer;
        for _ in 0..ROUNDS {
            for server in &self.servers {
                match timeout(PATIENCE, exchange(*server, question)).await {
                    Ok(Ok(answer)) => match answer.metadata.response_code {
                        ResponseCode::NoError => return Ok(answer),
                        ResponseCode::NXDomain => return Err(LookupError::NoSuchName),
                        code => error = LookupError::Refused(code),
                    },
                    Ok(Err(cause)) => tracing::debug!(%server, %cause, "resolver failed"),
                    Err(_) => tracing::debug!(%server, "resolver did not answer in time"),
                }
            }
            // SERVFAIL and the like are answers; only silence is worth a second round.
            if error != LookupError::NoAnswer {
                break;
            }
        }
        Err(error)
    }
}

/// Servers of resolv.conf that are asked; libc's limit.
const MAX_SERVERS: usize = 3;
/// Times that each server is asked one question.
const ROUNDS: usize = 2;
/// How long one server may take to answer.
const PATIENCE: Duration = Duration::from_secs(3);
/// Questions that aliases may lead to.
const MAX_QUERIES: usize = 8;
/// Aliases followed within one answer.
const MAX_ALIASES: usize = 16;
/// Records looked at in one answer.
const MAX_RECORDS: usize = 64;
/// Datagrams that may arrive before the one that answers the question.
const MAX_STRAYS: usize = 16;
/// Fits through any path without fragments (DNS flag day 2020).
const UDP_PAYLOAD: u16 = 1232;
const DNS_PORT: u16 = 53;

fn is_localhost(name: &str) -> bool {
    name == "localhost" || name.ends_with(".localhost")
}

fn address(record: &RData) -> Option<IpAddr> {
    match record {
        RData::A(a) => Some(a.0.into()),
        RData::AAAA(aaaa) => Some(aaaa.0.into()),
        _ => None,
    }
}

fn text(record: &RData) -> Option<Vec<u8>> {
    match record {
        RData::TXT(txt) => Some(txt.txt_data.concat()),
        _ => None,
    }
}

enum Step {
    Found(Vec<RData>),
    Alias(Name),
}

/// Walks the aliases of one answer from `name` to the records asked for.
fn follow(answer: &Message, mut name: Name, kind: RecordType) -> Result<Step, LookupError> {
    let mut moved = false;
    let records = answer.answers.get(..MAX_RECORDS).unwrap_or(&answer.answers);
    for _ in 0..MAX_ALIASES {
        let found: Vec<RData> = records
            .iter()
            .filter(|record| record.record_type() == kind && record.name == name)
            .map(|record| record.data.clone())
            .collect();
        if !found.is_empty() {
            return Ok(Step::Found(found));
        }
        let alias = records.iter().find_map(|record| match &record.data {
            RData::CNAME(target) if record.name == name => Some(target.0.clone()),
            _ => None,
        });
        match alias {
            Some(target) => {
                name = target;
                moved = true;
            }
            // RFC 2308 §2.2: with an SOA, the answer says that the last name has no such records.
            None if moved && !has_soa(answer) => return Ok(Step::Alias(name)),
            None => return Ok(Step::Found(Vec::new())),
        }
    }
    Err(LookupError::TooManyAliases)
}

fn has_soa(answer: &Message) -> bool {
    answer
        .authorities
        .iter()
        .any(|record| record.record_type() == RecordType::SOA)
}

/// One question and its answer: by UDP, and by TCP where that does not suffice.
async fn exchange(server: SocketAddr, question: &Query) -> Result<Message, ExchangeError> {
    let mut query = Message::new(
        u16::from_ne_bytes(random::bytes()),
        MessageType::Query,
        OpCode::Query,
    );
    query.metadata.recursion_desired = true;
    query.add_query(question.clone());
    let mut edns = Edns::new();
    edns.set_max_payload(UDP_PAYLOAD);
    query.set_edns(edns);

    let mut answer = by_udp(server, &query).await?;
    if matches!(
        answer.metadata.response_code,
        ResponseCode::FormErr | ResponseCode::NotImp
    ) {
        // RFC 6891 §7: a server that does not know EDNS.
        query.edns = None;
        answer = by_udp(server, &query).await?;
    }
    if answer.metadata.truncation {
        answer = by_tcp(server, &query).await?;
    }
    Ok(answer)
}

#[derive(Debug, thiserror::Error)]
enum ExchangeError {
    #[error("{0}")]
    Io(#[from] std::io::Error),
    #[error("the question can't be written: {0}")]
    Encode(#[from] hickory_proto::ProtoError),
    #[error("what came back does not answer the question")]
    NotAnAnswer,
}

/// A socket for each question: its port and the id are both new and random, as RFC 5452 §9.2 asks,
/// and the kernel drops what does not come from the server.
async fn by_udp(server: SocketAddr, query: &Message) -> Result<Message, ExchangeError> {
    let any: IpAddr = match server {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = UdpSocket::bind((any, 0)).await?;
    socket.connect(server).await?;
    socket.send(&query.to_vec()?).await?;
    let mut buffer = vec![0; usize::from(UDP_PAYLOAD)];
    for _ in 0..MAX_STRAYS {
        let length = socket.recv(&mut buffer).await?;
        let answer = buffer.get(..length).unwrap_or_default();
        if let Some(answer) = read_answer(answer, query) {
            return Ok(answer);
        }
    }
    Err(ExchangeError::NotAnAnswer)
}

/// RFC 1035 §4.2.2
async fn by_tcp(server: SocketAddr, query: &Message) -> Result<Message, ExchangeError> {
    let mut stream = TcpStream::connect(server).await?;
    stream.set_nodelay(true)?;
    let bytes = query.to_vec()?;
    let length = u16::try_from(bytes.len()).unwrap_or(u16::MAX);
    stream
        .write_all(&[&length.to_be_bytes(), bytes.as_slice()].concat())
        .await?;
    let length = stream.read_u16().await?;
    let mut answer = vec![0; usize::from(length)];
    stream.read_exact(&mut answer).await?;
    read_answer(&answer, query).ok_or(ExchangeError::NotAnAnswer)
}

/// RFC 5452 §9.1: an answer repeats the id and the question.
fn read_answer(bytes: &[u8], query: &Message) -> Option<Message> {
    let answer = Message::from_vec(bytes).ok()?;
    let unknowing = answer.queries.is_empty()
        && matches!(
            answer.metadata.response_code,
            ResponseCode::FormErr | ResponseCode::NotImp
        );
    let fits = answer.metadata.id == query.metadata.id
        && answer.metadata.message_type == MessageType::Response
        && answer.metadata.op_code == OpCode::Query
        && (answer.queries == query.queries || unknowing);
    fits.then_some(answer)
}

#[cfg(test)]
mod tests;
