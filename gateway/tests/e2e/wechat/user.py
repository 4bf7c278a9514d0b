"""A platform by wechatpy, which nobody of us wrote: asks a channel to prove its address, and pushes messages, open or
sealed. Run by `.ci/wechatpy`, which has the pinned versions.

    user.py plain|safe URL APPID TOKEN KEY OPENID TEXT...     prints one object: what was answered
"""

import json
import sys
import time

import requests
import xmltodict
from wechatpy.crypto import WeChatCrypto
from wechatpy.utils import WeChatSigner, random_string

MESSAGE = (
    "<xml><ToUserName><![CDATA[gh_97417a04a28d]]></ToUserName><FromUserName><![CDATA[{openid}]]></FromUserName>"
    "<CreateTime>{at}</CreateTime><MsgType><![CDATA[text]]></MsgType><Content><![CDATA[{text}]]></Content>"
    "<MsgId>{id}</MsgId></xml>"
)


def query(token, *more):
    at, nonce = str(int(time.time())), random_string()
    signer = WeChatSigner()
    signer.add_data(token, at, nonce, *more)
    return {"timestamp": at, "nonce": nonce, "signature": signer.signature}


def main(mode, url, appid, token, key, openid, *texts):
    crypto = WeChatCrypto(token, key, appid)
    echo = requests.get(url, params={**query(token), "echostr": "4375120948345356249"}, timeout=5)
    answers = []

    def push(text, number, forge=lambda parameters: None):
        body = MESSAGE.format(openid=openid, at=int(time.time()), text=text, id=number)
        parameters = query(token)
        if mode == "safe":
            sealed = crypto.encrypt_message(body, parameters["nonce"], parameters["timestamp"])
            sealed = xmltodict.parse(sealed)["xml"]
            parameters.update(encrypt_type="aes", msg_signature=sealed["MsgSignature"])
            body = "<xml><ToUserName><![CDATA[gh_97417a04a28d]]></ToUserName><Encrypt><![CDATA[%s]]></Encrypt></xml>"
            body = body % sealed["Encrypt"]
        forge(parameters)
        answer = requests.post(url, params=parameters, data=body.encode(), timeout=5)
        answers.append([answer.status_code, answer.text if answer.ok else ""])

    def forged(parameters):
        parameters["msg_signature" if mode == "safe" else "signature"] = "0" * 40

    for number, text in enumerate(texts):
        # The platform pushes again what it believes unanswered.
        push(text, 23456789012345678 + number)
        push(text, 23456789012345678 + number)
    push("forged", 1, forged)
    print(json.dumps({"echo": echo.text, "answers": answers}))


if __name__ == "__main__":
    main(*sys.argv[1:])
