//! Whom an encrypted connection trusts: the system's certificates, so that a company's proxy
//! works as for other programs, or those of a file that the environment names.

use rustls_native_certs::{load_certs_from_paths, load_native_certs};
use ureq::tls::{Certificate, RootCerts};

use super::settings::Settings;
use crate::error::{Error, Result};

pub(super) fn trusted(settings: &Settings) -> Result<RootCerts> {
    let found = match &settings.certificates {
        Some((_, path)) if path.is_dir() => load_certs_from_paths(None, Some(path)),
        Some((_, path)) => load_certs_from_paths(Some(path), None),
        None => load_native_certs(),
    };
    if found.certs.is_empty() {
        return match &settings.certificates {
            Some((variable, path)) => {
                let why = found.errors.first().map(|error| format!(" ({error})"));
                let got = format!("`{}`{}", path.display(), why.unwrap_or_default());
                Err(Error::config(variable, "a file of certificates (PEM)", got))
            }
            // A small container may have none.
            None => Ok(RootCerts::WebPki),
        };
    }
    let certificates = found.certs.iter();
    Ok(certificates
        .map(|one| Certificate::from_der(one).to_owned())
        .into())
}
