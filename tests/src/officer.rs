//! [`Officer`]: the CA behind `tests/fixtures/versions/plugin.rs`, which has none of its own.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, DnType, IsCa, Issuer,
    KeyPair, KeyUsagePurpose,
};

/// Signs what it finds in a folder, until it is dropped.
pub struct Officer {
    at_work: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Officer {
    /// Makes the folder, which is a handler's `directory`.
    pub fn start(directory: &Path) -> Self {
        for folder in ["requests", "answers"] {
            fs::create_dir_all(directory.join(folder)).unwrap();
        }
        let mut params = CertificateParams::default();
        params
            .distinguished_name
            .push(DnType::CommonName, "Officer's CA");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        fs::write(directory.join("ca.der"), certificate.der()).unwrap();
        let issuer = Issuer::new(params, key);
        let at_work = Arc::new(AtomicBool::new(true));
        let working = Arc::clone(&at_work);
        let directory = directory.to_owned();
        let thread = std::thread::spawn(move || {
            while working.load(Ordering::Relaxed) {
                for request in requests(&directory) {
                    sign(&directory, &request, &issuer);
                }
                std::thread::sleep(Duration::from_millis(5));
            }
        });
        Self {
            at_work,
            thread: Some(thread),
        }
    }
}

impl Drop for Officer {
    fn drop(&mut self) {
        self.at_work.store(false, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn requests(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory.join("requests")).unwrap();
    entries.map(|entry| entry.unwrap().path()).collect()
}

fn sign(directory: &Path, request: &Path, issuer: &Issuer<'_, KeyPair>) {
    let csr = fs::read(request).unwrap();
    let mut csr = CertificateSigningRequestParams::from_der(&csr.into()).unwrap();
    csr.params.use_authority_key_identifier_extension = true;
    let certificate = csr.signed_by(issuer).unwrap();
    let id = request.file_name().unwrap();
    let fresh = directory.join(id);
    fs::write(&fresh, certificate.der()).unwrap();
    fs::rename(&fresh, directory.join("answers").join(id)).unwrap();
    fs::remove_file(request).unwrap();
}
