//! An authoritative DNS server for the tests, on a free loopback port, UDP and TCP.
//!
//! Every name under `test.` has the address 127.0.0.1 unless something else is set for it.

use std::collections::HashMap;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use hickory_proto::op::{Metadata, ResponseCode};
use hickory_proto::rr::rdata::{A, AAAA, CNAME, TXT};
use hickory_proto::rr::{Name, RData, Record, RecordType};
use hickory_server::net::runtime::Time;
use hickory_server::server::{Request, RequestHandler, ResponseHandler, ResponseInfo, Server};
use hickory_server::zone_handler::MessageResponseBuilder;
use tokio::net::{TcpListener, UdpSocket};

pub struct Dns {
    address: SocketAddr,
    zone: Arc<Mutex<Zone>>,
    // Serves until it is dropped.
    _server: Server<Handler>,
}

#[derive(Default)]
struct Zone {
    records: HashMap<Name, Vec<RData>>,
    failing: HashMap<Name, ResponseCode>,
    queries: HashMap<(Name, RecordType), usize>,
}

struct Handler(Arc<Mutex<Zone>>);

/// Two of one number. Somebody else's connection may have the number that looked free.
async fn sockets() -> (SocketAddr, UdpSocket, TcpListener) {
    for _ in 0..100 {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, crate::ports::free()));
        let udp = UdpSocket::bind(address).await;
        if let (Ok(udp), Ok(tcp)) = (udp, TcpListener::bind(address).await) {
            return (address, udp, tcp);
        }
    }
    panic!("no port is free");
}

impl Dns {
    pub async fn start() -> Self {
        let zone = Arc::new(Mutex::new(Zone::default()));
        let mut server = Server::new(Handler(zone.clone()));
        let (address, udp, tcp) = sockets().await;
        server.register_socket(udp);
        server.register_listener(tcp, Duration::from_secs(5), 64);
        Self {
            address,
            zone,
            _server: server,
        }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn set_a(&self, name: &str, addresses: &[Ipv4Addr]) {
        self.set(
            name,
            addresses
                .iter()
                .map(|address| RData::A(A(*address)))
                .collect(),
        );
    }

    pub fn set_aaaa(&self, name: &str, addresses: &[Ipv6Addr]) {
        self.set(
            name,
            addresses
                .iter()
                .map(|address| RData::AAAA(AAAA(*address)))
                .collect(),
        );
    }

    pub fn set_cname(&self, name: &str, target: &str) {
        self.set(name, vec![RData::CNAME(CNAME(absolute(target)))]);
    }

    /// One more TXT record; a name that is validated twice at once needs several.
    pub fn add_txt(&self, name: &str, text: &str) {
        let record = RData::TXT(TXT::new(vec![text.to_owned()]));
        self.zone
            .lock()
            .unwrap()
            .records
            .entry(absolute(name))
            .or_default()
            .push(record);
    }

    pub fn remove(&self, name: &str) {
        self.zone.lock().unwrap().records.remove(&absolute(name));
    }

    /// Every query for this name is answered with an error from now on.
    pub fn fail(&self, name: &str, code: ResponseCode) {
        self.zone
            .lock()
            .unwrap()
            .failing
            .insert(absolute(name), code);
    }

    /// How often this has been asked for.
    pub fn queries(&self, name: &str, kind: RecordType) -> usize {
        let zone = self.zone.lock().unwrap();
        zone.queries
            .get(&(absolute(name), kind))
            .copied()
            .unwrap_or_default()
    }

    fn set(&self, name: &str, records: Vec<RData>) {
        self.zone
            .lock()
            .unwrap()
            .records
            .insert(absolute(name), records);
    }
}

fn absolute(name: &str) -> Name {
    let mut name = Name::from_ascii(name).unwrap().to_lowercase();
    name.set_fqdn(true);
    name
}

impl Zone {
    fn answer(&mut self, name: &Name, kind: RecordType) -> Result<Vec<Record>, ResponseCode> {
        *self.queries.entry((name.clone(), kind)).or_default() += 1;
        if let Some(code) = self.failing.get(name) {
            return Err(*code);
        }
        let default = [RData::A(A(Ipv4Addr::LOCALHOST))];
        let records = match self.records.get(name) {
            Some(records) => records.as_slice(),
            None if name.to_ascii().ends_with(".test.") => &default,
            None => return Err(ResponseCode::NXDomain),
        };
        let fits = |data: &&RData| matches!(data, RData::CNAME(_)) || data.record_type() == kind;
        let record = |data: &RData| Record::from_rdata(name.clone(), 1, data.clone());
        let mut answer: Vec<_> = records.iter().filter(fits).map(record).collect();
        if let Some(RData::CNAME(CNAME(target))) = answer.first().map(|record| &record.data) {
            let target = target.clone();
            if kind != RecordType::CNAME {
                answer.extend(self.answer(&target, kind)?);
            }
        }
        Ok(answer)
    }
}

#[async_trait]
impl RequestHandler for Handler {
    async fn handle_request<R: ResponseHandler, T: Time>(
        &self,
        request: &Request,
        mut response: R,
    ) -> ResponseInfo {
        let mut metadata = Metadata::response_from_request(&request.metadata);
        metadata.authoritative = true;
        metadata.recursion_available = true;
        let answer = match request.request_info() {
            Ok(info) => {
                let mut name = Name::from(info.query.name());
                name.set_fqdn(true);
                self.0
                    .lock()
                    .unwrap()
                    .answer(&name.to_lowercase(), info.query.query_type())
            }
            Err(_) => Err(ResponseCode::FormErr),
        };
        let records = answer.unwrap_or_else(|code| {
            metadata.response_code = code;
            Vec::new()
        });
        let message = MessageResponseBuilder::from_message_request(request);
        let message = message.build(metadata, &records, [], [], []);
        // The resolver at the other end is free to have gone.
        response.send_response(message).await.unwrap_or_else(|_| {
            ResponseInfo::from(hickory_proto::op::Header {
                metadata,
                counts: hickory_proto::op::HeaderCounts::default(),
            })
        })
    }
}
