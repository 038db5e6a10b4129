//! [`Proxy`]: a way to a server that counts round trips, and goes wrong as it is told.

use std::{
    io::{Read, Write},
    net::{Ipv4Addr, Shutdown, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use crate::{During, Result};

/// Stands before a server on this machine. What is told to one of its clones holds for all of its connections; it lives as long as
/// the program.
///
/// A round trip is counted when a client speaks that was spoken to since it spoke last, on any connection.
#[derive(Clone, Debug)]
pub struct Proxy {
    port: u16,
    told: Arc<Told>,
}

#[derive(Debug)]
struct Told {
    trips: AtomicUsize,
    answered: AtomicUsize,
    bytes: AtomicUsize,
    piece: AtomicUsize,
    delay_us: AtomicU64,
    cuts: AtomicBool,
}

/// How much is read at once.
const MOST: usize = 64 * 1024;

impl Proxy {
    /// Before the server on that port.
    ///
    /// # Errors
    /// If no port is free.
    pub fn before(server: u16) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).during("listening before a server")?;
        let port = listener.local_addr().during("listening before a server")?.port();
        let told = Told {
            trips: AtomicUsize::new(0),
            answered: AtomicUsize::new(usize::MAX),
            bytes: AtomicUsize::new(0),
            piece: AtomicUsize::new(MOST),
            delay_us: AtomicU64::new(0),
            cuts: AtomicBool::new(false),
        };
        let proxy = Self { port, told: Arc::new(told) };
        let forward = proxy.clone();
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                // Who cannot be passed on finds its connection closed.
                let _ = forward.pass_on(client, server);
            }
        });
        Ok(proxy)
    }

    /// Where it listens, on 127.0.0.1.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// Round trips, since the start or the last [`answers_only`](Self::answers_only).
    #[must_use]
    pub fn trips(&self) -> usize {
        self.told.trips.load(Ordering::SeqCst)
    }

    /// Bytes that came from the server.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.told.bytes.load(Ordering::SeqCst)
    }

    /// From now on only so many round trips are answered.
    pub fn answers_only(&self, trips: usize) {
        self.told.trips.store(0, Ordering::SeqCst);
        self.told.answered.store(trips, Ordering::SeqCst);
    }

    /// From now on everything is passed on in pieces of so many bytes.
    pub fn cuts_into(&self, bytes: usize) {
        self.told.piece.store(bytes.max(1), Ordering::SeqCst);
    }

    /// From now on each way takes at least so long.
    pub fn delays(&self, each_way: Duration) {
        self.told.delay_us.store(u64::try_from(each_way.as_micros()).unwrap_or(u64::MAX), Ordering::SeqCst);
    }

    /// The server's next answer is kept, and its connection closed.
    pub fn loses_the_next_answer(&self) {
        self.told.cuts.store(true, Ordering::SeqCst);
    }

    fn pass_on(&self, client: TcpStream, server: u16) -> std::io::Result<()> {
        let server = TcpStream::connect((Ipv4Addr::LOCALHOST, server))?;
        client.set_nodelay(true)?;
        server.set_nodelay(true)?;
        let (from_client, from_server) = (client.try_clone()?, server.try_clone()?);
        let client_spoke = Arc::new(AtomicBool::new(false));
        let (spoke, told) = (Arc::clone(&client_spoke), Arc::clone(&self.told));
        self.pump(from_client, server, move |_| {
            if !spoke.swap(true, Ordering::SeqCst) {
                told.trips.fetch_add(1, Ordering::SeqCst);
            }
            true
        });
        let told = Arc::clone(&self.told);
        self.pump(from_server, client, move |count| {
            told.bytes.fetch_add(count, Ordering::SeqCst);
            while told.trips.load(Ordering::SeqCst) > told.answered.load(Ordering::SeqCst) {
                thread::sleep(Duration::from_millis(1));
            }
            client_spoke.store(false, Ordering::SeqCst);
            !told.cuts.swap(false, Ordering::SeqCst)
        });
        Ok(())
    }

    /// Until either side closes, or `before` says so; then the other side learns of it.
    fn pump(&self, mut from: TcpStream, mut to: TcpStream, before: impl Fn(usize) -> bool + Send + 'static) {
        let told = Arc::clone(&self.told);
        thread::spawn(move || {
            let mut buffer = vec![0; MOST];
            while let Ok(count @ 1..) = from.read(&mut buffer) {
                if !before(count) {
                    break;
                }
                match told.delay_us.load(Ordering::SeqCst) {
                    0 => {}
                    us => thread::sleep(Duration::from_micros(us)),
                }
                let mut pieces = buffer[..count].chunks(told.piece.load(Ordering::SeqCst));
                if !pieces.all(|piece| to.write_all(piece).is_ok()) {
                    break;
                }
            }
            let _ = (from.shutdown(Shutdown::Both), to.shutdown(Shutdown::Both));
        });
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    /// A client behind a proxy, and who serves it.
    fn ends() -> (Proxy, TcpStream, TcpStream) {
        let server = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let proxy = Proxy::before(server.local_addr().unwrap().port()).unwrap();
        let client = TcpStream::connect((Ipv4Addr::LOCALHOST, proxy.port())).unwrap();
        (proxy, client, server.accept().unwrap().0)
    }

    #[test]
    fn what_is_said_at_once_is_one_round_trip() {
        let (proxy, mut client, mut served) = ends();
        for trip in 1..=3 {
            let mut bytes = [0; 2];
            client.write_all(b"a").unwrap();
            client.write_all(b"b").unwrap();
            served.read_exact(&mut bytes).unwrap();
            served.write_all(b"ok").unwrap();
            client.read_exact(&mut bytes).unwrap();
            assert_eq!((proxy.trips(), proxy.bytes()), (trip, 2 * trip));
        }
    }

    #[test]
    fn a_longer_way_takes_at_least_as_long_as_it_was_told() {
        let (proxy, mut client, mut served) = ends();
        proxy.delays(Duration::from_millis(5));
        let (began, mut byte) = (Instant::now(), [0]);
        client.write_all(b"a").unwrap();
        served.read_exact(&mut byte).unwrap();
        served.write_all(b"b").unwrap();
        client.read_exact(&mut byte).unwrap();
        assert!(began.elapsed() >= Duration::from_millis(10));
    }

    #[test]
    fn a_lost_answer_closes_its_connection() {
        let (proxy, mut client, mut served) = ends();
        proxy.loses_the_next_answer();
        let mut byte = [0];
        client.write_all(b"a").unwrap();
        served.read_exact(&mut byte).unwrap();
        served.write_all(b"b").unwrap();
        assert_eq!(client.read(&mut byte).unwrap_or(0), 0);
    }
}
