//! The golden files in `layouts/`: what every frozen type looks like in memory and what every code
//! means. A difference breaks plugins that exist; it is never right to change what is there, only to
//! add a file, or a code to `codes.txt`. `CERTDOCK_BLESS=1` writes them anew.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::PathBuf;

use abi_stable::StableAbi;
use abi_stable::library::{AbiHeader, LibHeader};
use abi_stable::std_types::{ROption, RResult, RSlice, RStr, RString, RVec};
use abi_stable::type_layout::{TLData, TLField, TLFunction, TypeLayout};

use super::extension::{Extension, ExtensionTable};
use super::host_base::HostBase;
use super::root::{Description, RootRef};
use super::types::{FaultCode, Handle, Millis, Pair, Timestamp, WireChain, WireFault};
use super::{
    ca_certs_1, crl_1, enroll_1, health_1, host_log_1, host_metrics_1, host_paths_1, host_secret_1,
    host_state_1, host_time_1, idempotent_1, poll_1, push_1, recover_1, revoke_1, stateless_1,
    validate_config_1,
};

/// Every type that crosses, by the name of its file.
fn frozen() -> BTreeMap<&'static str, &'static TypeLayout> {
    let mut frozen = BTreeMap::new();
    macro_rules! add {
        ($($name:literal: $type:ty,)*) => {
            $(assert!(frozen.insert($name, <$type>::LAYOUT).is_none(), "{} twice", $name);)*
        };
    }
    add! {
        "root": RootRef,
        "description": Description,
        "extension": Extension,
        "host_base": HostBase,
        "handle": Handle,
        "pair": Pair<'static>,
        "timestamp": Timestamp,
        "millis": Millis,
        "fault": WireFault,
        "fault_code": FaultCode,
        "chain": WireChain,
        "enroll_1": enroll_1::Enroll,
        "enroll_1_in": enroll_1::EnrollIn<'static>,
        "enroll_1_out": enroll_1::EnrollOut,
        "enroll_1_protocol": enroll_1::ProtocolCode,
        "enroll_1_requester": enroll_1::WireRequester<'static>,
        "enroll_1_requester_kind": enroll_1::RequesterKind,
        "enroll_1_status": enroll_1::EnrollStatus,
        "poll_1": poll_1::PollTable,
        "poll_1_in": poll_1::PollIn<'static>,
        "poll_1_out": poll_1::PollOut,
        "poll_1_status": poll_1::PollStatus,
        "push_1": push_1::PushTable,
        "push_1_in": push_1::PushIn<'static>,
        "push_1_news": push_1::WireNews,
        "health_1": health_1::HealthTable,
        "recover_1": recover_1::RecoverTable,
        "recover_1_in": recover_1::RecoverIn<'static>,
        "recover_1_out": recover_1::RecoverOut,
        "recover_1_status": recover_1::RecoverStatus,
        "idempotent_1": idempotent_1::Idempotent,
        "stateless_1": stateless_1::Stateless,
        "revoke_1": revoke_1::Revoke,
        "revoke_1_in": revoke_1::RevokeIn<'static>,
        "ca_certs_1": ca_certs_1::CaCertsGet,
        "crl_1": crl_1::CrlTable,
        "crl_1_out": crl_1::CrlOut,
        "validate_config_1": validate_config_1::ValidateConfig,
        "validate_config_1_note": validate_config_1::WireNote,
        "validate_config_1_severity": validate_config_1::SeverityCode,
        "host_log_1": host_log_1::HostLog,
        "host_log_1_level": host_log_1::LevelCode,
        "host_metrics_1": host_metrics_1::HostMetrics,
        "host_paths_1": host_paths_1::HostPaths,
        "host_secret_1": host_secret_1::HostSecret,
        "host_secret_1_kind": host_secret_1::SecretKind,
        "host_state_1": host_state_1::HostState,
        "host_state_1_versioned": host_state_1::WireVersioned,
        "host_state_1_entry": host_state_1::StateEntry,
        "host_time_1": host_time_1::HostTime,
        "carrier_abi_header": AbiHeader,
        "carrier_lib_header": LibHeader,
        "carrier_roption": ROption<u64>,
        "carrier_rresult": RResult<(), WireFault>,
        "carrier_rslice": RSlice<'static, u8>,
        "carrier_rstr": RStr<'static>,
        "carrier_rstring": RString,
        "carrier_rvec": RVec<u8>,
    }
    frozen
}

/// Ids and numbers that the types don't show.
fn codes() -> String {
    let mut text = String::new();
    let mut line = |name: &str, value: &dyn std::fmt::Display| {
        writeln!(text, "{name} = {value}").unwrap();
    };
    macro_rules! ids {
        ($($table:ty),* $(,)?) => { $(line(stringify!($table), &<$table>::ID);)* };
    }
    macro_rules! codes {
        ($($type:path: $($code:ident)*;)*) => {
            $($(line(concat!(stringify!($type), "::", stringify!($code)), &<$type>::$code.0);)*)*
        };
    }
    ids! {
        enroll_1::Enroll, poll_1::PollTable, revoke_1::Revoke, ca_certs_1::CaCertsGet,
        crl_1::CrlTable, validate_config_1::ValidateConfig, recover_1::RecoverTable,
        push_1::PushTable, health_1::HealthTable,
        idempotent_1::Idempotent, stateless_1::Stateless, host_log_1::HostLog,
        host_metrics_1::HostMetrics, host_paths_1::HostPaths, host_secret_1::HostSecret,
        host_state_1::HostState, host_time_1::HostTime,
    }
    codes! {
        FaultCode: MALFORMED DENIED BUSY UPSTREAM MISCONFIGURED UNSUPPORTED ALREADY_REVOKED INTERNAL
            PANICKED UNKNOWN_OUTCOME;
        enroll_1::ProtocolCode: OTHER ACME EST INTERNAL;
        enroll_1::RequesterKind: OTHER ACME_ACCOUNT EST_USER CLIENT_CERTIFICATE HOST;
        enroll_1::EnrollStatus: ISSUED PENDING;
        poll_1::PollStatus: ISSUED PENDING REJECTED;
        recover_1::RecoverStatus: ISSUED PENDING REJECTED NOT_FOUND;
        validate_config_1::SeverityCode: ERROR WARNING REMOTE;
        host_log_1::LevelCode: ERROR WARN INFO DEBUG TRACE;
        host_secret_1::SecretKind: ENV FILE;
    }
    line("note type", &crate::note::TYPE);
    line("root symbol", &super::ROOT_SYMBOL);
    line("abi_stable", &super::CARRIER_VERSION);
    text
}

fn render(layout: &'static TypeLayout) -> String {
    let layout = prefix_of(layout).unwrap_or(layout);
    let mut text = String::new();
    let type_name = shape(layout);
    let (size, alignment) = (layout.size(), layout.alignment());
    writeln!(text, "{type_name}: {size} bytes, aligned to {alignment}").unwrap();
    match layout.data() {
        TLData::Struct { fields } => render_fields(&mut text, fields.iter(), true),
        TLData::PrefixType(prefix) => {
            render_fields(&mut text, prefix.fields.iter(), true);
        }
        TLData::Union { fields } => render_fields(&mut text, fields.iter(), false),
        TLData::Enum(variants) => {
            writeln!(
                text,
                "variants {:?}",
                variants.variant_names_iter().collect::<Vec<_>>()
            )
            .unwrap();
            render_fields(&mut text, variants.fields.iter(), false);
        }
        TLData::Primitive(primitive) => writeln!(text, "{primitive:?}").unwrap(),
        TLData::Opaque => text.push_str("opaque\n"),
    }
    text
}

/// A reference to a prefix type is rendered as what it leads to.
fn prefix_of(layout: &'static TypeLayout) -> Option<&'static TypeLayout> {
    let mut here = layout;
    for _ in 0..4 {
        if here.is_prefix_kind() {
            return Some(here);
        }
        let fields = here.get_fields()?;
        let phantom = here.phantom_fields();
        here = fields
            .iter()
            .chain(phantom.iter())
            .map(|f| f.layout())
            .find(|l| l.size() > 0)?;
    }
    None
}

/// Offsets are those of `repr(C)`, which the types are.
fn render_fields(text: &mut String, fields: impl Iterator<Item = TLField>, offsets: bool) {
    let mut offset: usize = 0;
    for field in fields {
        let (size, alignment) = (field.layout().size(), field.layout().alignment());
        offset = offset.next_multiple_of(alignment);
        let place = if offsets {
            format!("{offset:>4}  ")
        } else {
            "  ".to_owned()
        };
        if field.is_function() {
            for function in field.function_range().iter() {
                writeln!(text, "{place}{}: {}", field.name(), signature(&function)).unwrap();
            }
        } else {
            let shape = shape(field.layout());
            writeln!(
                text,
                "{place}{}: {shape} ({size}, {alignment})",
                field.name()
            )
            .unwrap();
        }
        offset += size;
    }
}

fn signature(function: &TLFunction) -> String {
    let names = function.param_names.as_str().split([',', ';']);
    let types = function.param_type_layouts.iter();
    let parameters: Vec<String> = names
        .zip(types)
        .map(|(name, layout)| format!("{name}: {}", shape(layout())))
        .collect();
    let safety = if function.fn_qualifs.is_unsafe() {
        "unsafe "
    } else {
        ""
    };
    let answer = function
        .return_type_layout()
        .map(|layout| format!(" -> {}", shape(layout())))
        .unwrap_or_default();
    format!("{safety}extern \"C\" fn({}){answer}", parameters.join(", "))
}

/// A type's name with its parameters, which `abi_stable` does not show for its containers.
fn shape(layout: &'static TypeLayout) -> String {
    let parameters: Vec<String> = match (layout.name(), layout.data()) {
        ("ROption" | "RResult", TLData::Enum(variants)) => variants
            .fields
            .iter()
            .map(|field| shape(field.layout()))
            .collect(),
        ("RVec" | "RSlice", TLData::Struct { fields }) => {
            let marker = fields
                .iter()
                .find(|field| field.layout().name() == "PhantomData");
            let element = parameter(marker.unwrap().layout()).unwrap();
            vec![element.trim_start_matches('&').to_owned()]
        }
        ("&", _) => return format!("&{}", parameter(layout).unwrap_or_default()),
        _ => return layout.full_type().to_string(),
    };
    format!("{}<{}>", layout.name(), parameters.join(", "))
}

fn parameter(layout: &'static TypeLayout) -> Option<String> {
    layout
        .phantom_fields()
        .iter()
        .next()
        .map(|field| shape(field.layout()))
}

#[test]
fn layouts_are_frozen() {
    let directory = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("src/abi/layouts");
    let mut expected: BTreeMap<String, String> = frozen()
        .into_iter()
        .map(|(name, layout)| (format!("{name}.txt"), render(layout)))
        .collect();
    expected.insert("codes.txt".to_owned(), codes());
    let bless = std::env::var_os("CERTDOCK_BLESS").is_some();
    let mut differences = Vec::new();
    for (name, text) in &expected {
        let file = directory.join(name);
        if bless {
            std::fs::create_dir_all(&directory).unwrap();
            std::fs::write(&file, text).unwrap();
        }
        let golden = std::fs::read_to_string(&file).unwrap_or_default();
        if golden != *text {
            differences.push(format!("{name}, frozen:\n{golden}now:\n{text}"));
        }
    }
    for entry in std::fs::read_dir(&directory).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        if !expected.contains_key(&name) {
            differences.push(format!("{name}: a frozen type is gone"));
        }
    }
    assert!(
        differences.is_empty(),
        "the wire has changed:\n\n{}",
        differences.join("\n")
    );
}

#[test]
fn a_change_is_seen() {
    #[repr(C)]
    #[derive(StableAbi)]
    struct Millis(u32);

    assert_ne!(render(Millis::LAYOUT), render(super::types::Millis::LAYOUT));
    assert_ne!(
        render(<RResult<u64, WireFault>>::LAYOUT),
        render(<RResult<u32, WireFault>>::LAYOUT)
    );
}
