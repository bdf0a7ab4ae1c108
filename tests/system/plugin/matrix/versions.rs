//! Plugins and hosts of different versions of plugin-api, each with each.

use std::fs;

use certdock_tests::World;
use certdock_tests::acme::{AccountKey, Client};
use certdock_tests::certificate::check_chain;
use certdock_tests::issue::issue;
use certdock_tests::officer::Officer;
use certdock_tests::versions::{Api, Build, Built, Edit, Source, Versions, today_version};
use tokio::sync::OnceCell;

use super::transcript::load;

pub(super) const fn edit(file: &'static str, from: &'static str, to: &'static str) -> Edit {
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

pub(super) const APIS: &[Api] = &[
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

/// All versions, built as cargo does by itself.
pub(super) async fn as_they_are() -> &'static Built {
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
    let built = as_they_are().await;
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

/// A handler of the plugin `variant-NAME`, with an officer's folder and an ACME endpoint of that name.
pub(super) fn serve(name: &str) -> String {
    format!(
        "[handlers.{name}]\nplugin = \"variant-{name}\"\n\
         [handlers.{name}.config]\ndirectory = \"./{name}\"\n\
         [acme.{name}]\nhandler = \"{name}\"\n\n"
    )
}

/// Row 4: the same plugins in the real server.
#[tokio::test(flavor = "multi_thread")]
async fn row_04_the_server_takes_plugins_of_any_1_x() {
    let built = as_they_are().await;
    let more = APIS.iter().map(|api| serve(api.name)).collect();
    let mut world = World::prepare(|settings| settings.more = more).await;
    let mut officers = Vec::new();
    for api in APIS {
        let file = built.plugin(api.name);
        let name = file.file_name().unwrap();
        fs::copy(&file, world.server.plugins().join(name)).unwrap();
        officers.push(Officer::start(&world.server.dir().join(api.name)));
    }
    world.server.restart();
    for api in APIS {
        let directory = world.server.directory_of(api.name);
        let mut client = Client::new(&directory, world.tls.clone()).await.unwrap();
        let account = client.new_account(AccountKey::es256()).await.unwrap();
        let issued = issue(&mut client, &account, &["v.test"], &world.http01).await;
        check_chain(&issued.unwrap().chain, &["v.test"]);
    }
    let list = world.server.command(&["plugin", "list"]).run().await;
    for api in APIS {
        let id = format!("variant-{} ", api.name);
        let row = list.stdout.lines().find(|row| row.starts_with(&id));
        let row = row.unwrap_or_else(|| panic!("{list:?}"));
        assert!(row.contains(&version(api)), "{row}");
    }
}
