"""The fake WeChat before wechatpy, which nobody of us wrote: as a client of its API, and as a callback that checks and
reads its pushes. Run by `.ci/wechatpy`, which has the pinned versions.

    wechat.py client URL APPID SECRET OPENID STRANGER     prints one object: what it did and what was refused
    wechat.py callback APPID TOKEN KEY                    prints its address, then one object for each push
"""

import io
import json
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer
from urllib.parse import parse_qsl, urlsplit

from wechatpy import WeChatClient, parse_message
from wechatpy.client import base
from wechatpy.crypto import WeChatCrypto
from wechatpy.exceptions import WeChatClientException
from wechatpy.replies import TextReply
from wechatpy.utils import check_signature

PICTURE = b"\x89PNG\r\n\x1a\n not much of a picture"
FIELDS = (
    "id type source target content media_id thumb_media_id image format recognition label title description url"
    " event key scene_id latitude"
).split()


def client(url, appid, secret, openid, stranger):
    base.BaseWeChatClient.API_BASE_URL = WeChatClient.API_BASE_URL = url + "/cgi-bin/"
    WeChatClient.ACCESS_TOKEN_URL = url + "/cgi-bin/token"
    wechat = WeChatClient(appid, secret)
    # Its address of the token is written out in its code.
    wechat.fetch_access_token = lambda: wechat._fetch_access_token(
        url + "/cgi-bin/token", {"grant_type": "client_credential", "appid": appid, "secret": secret}
    )
    wechat.message.send_text(openid, "你好 & <bye>")
    uploaded = wechat.media.upload("image", ("a.png", io.BytesIO(PICTURE), "image/png"))["media_id"]
    wechat.message.send_image(openid, uploaded)
    fetched = wechat.media.download(uploaded).content
    refused = []
    for what, call in (
        ("a stranger", lambda: wechat.message.send_text(stranger, "x")),
        ("no file", lambda: wechat.message.send_image(openid, "nobody's")),
        ("too long", lambda: wechat.message.send_text(openid, "字" * 683)),
    ):
        try:
            call()
        except WeChatClientException as error:
            refused.append([what, error.errcode])
    print(json.dumps({"uploaded": uploaded, "bytes": fetched.hex(), "refused": refused}))


def callback(appid, token, key):
    crypto = WeChatCrypto(token, key, appid)

    class Handler(BaseHTTPRequestHandler):
        def query(self):
            return dict(parse_qsl(urlsplit(self.path).query, keep_blank_values=True))

        def do_GET(self):
            query = self.query()
            check_signature(token, query["signature"], query["timestamp"], query["nonce"])
            self.answer(query["echostr"])

        def do_POST(self):
            query = self.query()
            body = self.rfile.read(int(self.headers["content-length"])).decode()
            check_signature(token, query["signature"], query["timestamp"], query["nonce"])
            sealed = query.get("encrypt_type") == "aes"
            if sealed:
                body = crypto.decrypt_message(body, query["msg_signature"], query["timestamp"], query["nonce"])
            message = parse_message(body)
            fields = {name: getattr(message, name, None) for name in FIELDS}
            print(json.dumps(fields, default=str), flush=True)
            if message.type != "text":
                return self.answer("success")
            # Its own replies end at a "]]>" of the text.
            content = "heard: " + message.content.replace("]]>", "")
            reply = TextReply(message=message, content=content).render()
            self.answer(crypto.encrypt_message(reply, query["nonce"], query["timestamp"]) if sealed else reply)

        def answer(self, text):
            self.send_response(200)
            self.send_header("content-length", str(len(text.encode())))
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, *_):
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    print(json.dumps({"url": "http://127.0.0.1:%d/wx" % server.server_port}), flush=True)
    server.serve_forever()


if __name__ == "__main__":
    {"client": client, "callback": callback}[sys.argv[1]](*sys.argv[2:])
