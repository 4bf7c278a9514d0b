"""A platform by wechatpy that pushes one message and reads the reply it is answered, open or sealed. Run by
`.ci/wechatpy`.

    waits.py plain|safe URL APPID TOKEN KEY OPENID TEXT     prints the reply
"""

import json
import sys
import time

import requests
import xmltodict
from user import MESSAGE, query
from wechatpy.crypto import WeChatCrypto


def main(mode, url, appid, token, key, openid, text):
    crypto = WeChatCrypto(token, key, appid)
    body = MESSAGE.format(openid=openid, at=int(time.time()), text=text, id=34567890123456789)
    parameters = query(token)
    if mode == "safe":
        sealed = xmltodict.parse(crypto.encrypt_message(body, parameters["nonce"], parameters["timestamp"]))["xml"]
        parameters.update(encrypt_type="aes", msg_signature=sealed["MsgSignature"])
        body = "<xml><ToUserName><![CDATA[gh_97417a04a28d]]></ToUserName><Encrypt><![CDATA[%s]]></Encrypt></xml>"
        body = body % sealed["Encrypt"]
    answer = requests.post(url, params=parameters, data=body.encode(), timeout=5)
    answer.raise_for_status()
    reply = answer.content.decode()
    if mode == "safe":
        outside = xmltodict.parse(reply)["xml"]
        reply = crypto.decrypt_message(reply, outside["MsgSignature"], outside["TimeStamp"], outside["Nonce"])
    reply = xmltodict.parse(reply)["xml"]
    print(json.dumps({
        "type": reply["MsgType"], "content": reply["Content"], "to": reply["ToUserName"], "from": reply["FromUserName"],
    }))


if __name__ == "__main__":
    main(*sys.argv[1:])
