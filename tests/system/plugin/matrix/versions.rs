//! Plugins and hosts of different versions of plugin-api, each with each.

use certdock_tests::versions::{Api, Build, Built, Edit, Source, Versions, today_version};
use tokio::sync::OnceCell;

use super::transcript::load;

const fn edit(file: &'static str, from: &'static str, to: &'static str) -> Edit {
    Edit { file, from, to }
}

/// A minor version that does not exist yet: one extension more.
const NEXT: &[Edit] = &[
    edit(
        "abi/example_1.rs",
        "",
        "//! `certdock.example/1`\n\
         use abi_stable::StableAbi;\n\
         use super::extension::ExtensionTable;\n\
         /// The table.\n\
         #[repr(C)]\n\
         #[derive(StableAbi)]\n\
         pub struct Example {\n    /// Seven.\n    pub number: u64,\n}\n\
         impl ExtensionTable for Example {\n    const ID: &'static str = \"certdock.example/1\";\n}\n\
         pub(super) fn table() -> &'static Example {\n    &Example { number: 7 }\n}\n",
    ),
    edit(
        "abi/mod.rs",
        "pub mod enroll_1;",
        "pub mod enroll_1;\npub mod example_1;",
    ),
    edit(
        "abi/shim.rs",
        "        _ => return ROption::RNone,",
        "        super::example_1::Example::ID => Extension::of(super::example_1::table()),\n        \
         _ => return ROption::RNone,",
    ),
    edit(
        "abi/client.rs",
        "    crl: Option<&'static CrlTable>,",
        "    crl: Option<&'static CrlTable>,\n    example: Option<&'static super::example_1::Example>,",
    ),
    edit(
        "abi/client.rs",
        "            crl: optional(root, &mut left_out),",
        "            crl: optional(root, &mut left_out),\n            example: optional(root, &mut left_out),",
    ),
    edit(
        "abi/client.rs",
        "    pub crl: bool,",
        "    pub crl: bool,\n    /// `certdock.example/1`\n    pub example: bool,",
    ),
    edit(
        "abi/client.rs",
        "            crl: self.tables.crl.is_some(),",
        "            crl: self.tables.crl.is_some(),\n            example: self.tables.example.is_some_and(|e| e.number == 7),",
    ),
];

const APIS: &[Api] = &[
    Api {
        name: "frozen-1-0",
        source: Source::Frozen("1.0"),
    },
    Api {
        name: "today",
        source: Source::Today,
    },
    Api {
        name: "next",
        source: Source::Changed("1.99.0", NEXT),
    },
];

async fn built() -> &'static Built {
    static BUILT: OnceCell<Built> = OnceCell::const_new();
    let all = ["frozen-1-0", "today", "next"];
    let build = async || {
        let build = Build {
            name: "as-they-are",
            ..Build::default()
        };
        Versions::write("versions", APIS)
            .build(build, &all, &all)
            .await
    };
    BUILT.get_or_init(build).await
}

/// Row 4: hosts and plugins of 1.0, of today, and of a next version that adds an extension.
#[tokio::test(flavor = "multi_thread")]
async fn row_04_every_host_loads_every_plugin_of_its_major() {
    let built = built().await;
    let plugins: Vec<_> = APIS.iter().map(|api| built.plugin(api.name)).collect();
    let mut first = None;
    for host in APIS {
        let transcripts = load(&built.host(host.name), &plugins).await;
        assert_eq!(transcripts.len(), APIS.len());
        for (plugin, transcript) in APIS.iter().zip(transcripts) {
            let pair = format!("{} in {}", plugin.name, host.name);
            assert_eq!(transcript.own("host-api"), version(host), "{pair}");
            assert_eq!(transcript.own("plugin-api"), version(plugin), "{pair}");
            let example = transcript.own("provided").contains("example: true");
            let both = [host, plugin].iter().all(|api| api.name == "next");
            assert_eq!(example, both, "{pair}: {transcript:?}");
            let told = first.get_or_insert_with(|| transcript.told.clone());
            assert_eq!(transcript.told, *told, "{pair}");
        }
    }
    let told = first.unwrap().join("\n");
    for expected in ["issued EnrollRequest", "Panicked", "counter 2"] {
        assert!(told.contains(expected), "{told}");
    }
}

fn version(api: &Api) -> String {
    match api.source {
        Source::Frozen(version) => format!("{version}.0"),
        Source::Today => today_version(),
        Source::Changed(version, _) => version.to_owned(),
    }
}
