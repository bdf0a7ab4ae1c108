"""Registers, makes a CSR and gets it signed, each step from the state the one before left."""

import asyncio
import os
import pathlib
import sys

from gufo.acme.clients.base import AcmeClient
from gufo.http.async_client import HttpClient

directory, domain, webroot, out = sys.argv[1], sys.argv[2], *map(pathlib.Path, sys.argv[3:5])


class Client(AcmeClient):
    def _get_client(self, auth=None):
        # The library's HTTP client can't be told of another root than the public ones.
        return HttpClient(validate_cert=False, auth=auth)


class SignClient(Client):
    async def fulfill_http_01(self, domain, challenge):
        file = webroot / challenge.token
        part = out / challenge.token
        part.write_bytes(self.get_key_authorization(challenge))
        part.rename(file)
        # The web server looks for new files now and then.
        await asyncio.sleep(0.3)
        return True

    async def clear_http_01(self, domain, challenge):
        (webroot / challenge.token).unlink()


async def register():
    async with Client(directory, key=AcmeClient.get_key()) as client:
        await client.new_account("operator@example.com")
        (out / "state.json").write_bytes(client.get_state())


async def sign():
    state = (out / "state.json").read_bytes()
    async with SignClient.from_state(state) as client:
        csr = (out / "csr.pem").read_bytes()
        (out / "cert.pem").write_bytes(await client.sign(domain, csr))


out.mkdir()
asyncio.run(register())
(out / "csr.pem").write_bytes(
    AcmeClient.get_domain_csr(domain, AcmeClient.get_domain_private_key())
)
asyncio.run(sign())
# The library's HTTP client has a thread that may still give up its last objects while Python is being
# taken down; now and then, on a busy machine, Python then aborts with all work done.
os._exit(0)
