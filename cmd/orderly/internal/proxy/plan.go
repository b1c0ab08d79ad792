package proxy

import (
	"encoding/binary"
	"slices"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// plan makes of a rule what becomes of the produce request whose batches it
// strikes.
func (r *rule) plan(req *request, w *written, h *Hit, struck []found, named func([16]byte) string) (*plan, error) {
	p := &plan{rule: r, hit: h, after: r.After, limit: r.For, topic: struck[0].topic, partition: struck[0].partition}
	switch r.Kind {
	case LostAck:
		p.then = cutOff
	case SilentAck:
		p.then = silence
	case Cut:
		p.cut = true
	case Hold:
		p.hold = true
	case Replay:
		p.replay = true
	case Delay:
		p.delay = r.For
	case ErrorAfter:
		p.edit = failAfter(req, r.Error, struck, named)
	case Refuse:
		return p, p.refuse(req, w, r.Error, struck, named)
	}
	return p, nil
}

func covers(struck []found, topic string, partition int32) bool {
	return slices.ContainsFunc(struck, func(f found) bool { return f.topic == topic && f.partition == partition })
}

// failAfter writes an error over the broker's answer for the struck batches.
func failAfter(req *request, code int16, struck []found, named func([16]byte) string) func([]byte) ([]byte, error) {
	return func(frame []byte) ([]byte, error) {
		receipts, _, err := walkReceipts(req, frame, named)
		if err != nil {
			return nil, err
		}
		for _, rc := range receipts {
			if covers(struck, rc.topic, rc.partition) {
				binary.BigEndian.PutUint16(rc.code, uint16(code))
				binary.BigEndian.PutUint64(rc.offset, ^uint64(0))
			}
		}
		return frame, nil
	}
}

// refuse takes the struck batches out of the request and puts the error into the
// answer in their place. The bytes of the others stay as they are.
func (p *plan) refuse(req *request, w *written, code int16, struck []found, named func([16]byte) string) error {
	msg := kmsg.NewPtrProduceRequest()
	msg.SetVersion(req.version)
	if err := decode(msg, req.frame[req.body:]); err != nil {
		return err
	}
	var refused []kmsg.ProduceResponseTopic
	for i := range msg.Topics {
		t := &msg.Topics[i]
		name := t.Topic
		if req.version >= 13 {
			name = named(t.TopicID)
		}
		out := kmsg.NewProduceResponseTopic()
		out.Topic, out.TopicID = t.Topic, t.TopicID
		t.Partitions = slices.DeleteFunc(t.Partitions, func(part kmsg.ProduceRequestTopicPartition) bool {
			if !covers(struck, name, part.Partition) {
				return false
			}
			failed := kmsg.NewProduceResponseTopicPartition()
			failed.Partition, failed.ErrorCode, failed.BaseOffset = part.Partition, code, -1
			out.Partitions = append(out.Partitions, failed)
			return true
		})
		if len(out.Partitions) > 0 {
			refused = append(refused, out)
		}
	}
	msg.Topics = slices.DeleteFunc(msg.Topics, func(t kmsg.ProduceRequestTopic) bool { return len(t.Partitions) == 0 })
	if len(msg.Topics) == 0 {
		p.drop = true
		if w.acks == 0 {
			p.cut = true // as brokers do: it is how a producer without answers learns of an error
			return nil
		}
		resp := kmsg.NewPtrProduceResponse()
		resp.Topics = refused
		p.answer = req.answer(resp)
		return nil
	}
	p.forward = msg.AppendTo(req.frame[:req.body:req.body])
	if w.acks == 0 {
		p.then = cutOff
		return nil
	}
	p.edit = func(frame []byte) ([]byte, error) {
		resp := kmsg.NewPtrProduceResponse()
		body, err := decodeAnswer(req, frame, resp)
		if err != nil {
			return nil, err
		}
		for _, t := range refused {
			i := slices.IndexFunc(resp.Topics, func(have kmsg.ProduceResponseTopic) bool { return have.Topic == t.Topic && have.TopicID == t.TopicID })
			if i < 0 {
				resp.Topics = append(resp.Topics, t)
				continue
			}
			resp.Topics[i].Partitions = append(resp.Topics[i].Partitions, t.Partitions...)
		}
		return encode(frame, body, resp), nil
	}
	return nil
}
