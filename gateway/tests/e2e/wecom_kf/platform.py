"""A platform, and a client of one, by wechatpy, which nobody of us wrote. Run by `.ci/wechatpy`, which has the pinned
versions.

    platform.py URL API CORP_ID SECRET TOKEN KEY ACCOUNT QUERY BODY     prints one object

asks the channel at URL to prove its address, rings there once well and once forged, pulls the account from the fake at
API, and opens a doorbell of the fake's (QUERY and BODY).
"""

import json
import sys
import time
import urllib.parse

import requests
import xmltodict
from wechatpy.enterprise import WeChatClient
from wechatpy.enterprise.crypto import WeChatCrypto

BELL = (
    "<xml><ToUserName><![CDATA[{corp}]]></ToUserName><CreateTime>{at}</CreateTime><MsgType><![CDATA[event]]></MsgType>"
    "<Event><![CDATA[kf_msg_or_event]]></Event><OpenKfId><![CDATA[{account}]]></OpenKfId></xml>"
)


def main(url, api, corp, secret, token, key, account, query, body):
    crypto = WeChatCrypto(token, key, corp)

    def sealed(text):
        at, nonce = str(int(time.time())), "1372623149"
        fields = xmltodict.parse(crypto.encrypt_message(text, nonce, at))["xml"]
        return {"msg_signature": fields["MsgSignature"], "timestamp": at, "nonce": nonce}, fields["Encrypt"]

    parameters, echo = sealed("1616140317555161061")
    echo = requests.get(url, params={**parameters, "echostr": echo}, timeout=5)
    parameters, bell = sealed(BELL.format(corp=corp, at=int(time.time()), account=account))
    envelope = "<xml><ToUserName><![CDATA[%s]]></ToUserName><Encrypt><![CDATA[%s]]></Encrypt></xml>" % (corp, bell)
    rung = requests.post(url, params=parameters, data=envelope, timeout=5).status_code
    forged = requests.post(url, params={**parameters, "msg_signature": "0" * 40}, data=envelope, timeout=5).status_code

    class Client(WeChatClient):
        # It has the address written into it.
        API_BASE_URL = api + "/cgi-bin/"

        def fetch_access_token(self):
            return self._fetch_access_token(
                url=self.API_BASE_URL + "gettoken", params={"corpid": self.corp_id, "corpsecret": self.secret}
            )

    client = Client(corp, secret)
    page = client.post("kf/sync_msg", data={"limit": 1000, "open_kfid": account})

    given = dict(urllib.parse.parse_qsl(query))
    opened = crypto.decrypt_message(body, given["msg_signature"], given["timestamp"], given["nonce"])
    opened = xmltodict.parse(opened)["xml"]
    print(
        json.dumps(
            {
                "echo": echo.text,
                "rung": rung,
                "forged": forged,
                "pulled": [row["text"]["content"] for row in page["msg_list"]],
                "opened": [opened["Event"], opened["OpenKfId"]],
            }
        )
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
